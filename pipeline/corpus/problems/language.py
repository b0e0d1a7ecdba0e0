"""What the languages themselves do, and what surprises people about it."""

from pipeline.corpus.problems.problem import Problem

PROBLEMS = (
    Problem(
        name="nothing there",
        titles=(
            "null check before using a ITEM",
            "ITEM is empty but i don't know why",
            "how to avoid so many null checks",
            "function returns nothing",
            "variable has no value after the call",
        ),
        prose=(
            "my function should return the ITEM with the given FIELD, but what i get has no value.",
            "the error comes in the line where i use the FIELD of the ITEM.",
            "before each access i check three things in a row. that can't be the best way.",
            "when i print the ITEM inside of the function it is there.",
        ),
        code={
            "java": (
                """
                public ITEM find(String FIELD) {
                    for (ITEM VAR : ITEMs) {
                        if (VAR.getFIELD().equals(FIELD)) return VAR;
                    }
                    return null;
                }
                """,
                """
                private ITEM[] ITEMs = new ITEM[NUM];
                ITEMs[0].setFIELD("WORD");
                """,
            ),
            "csharp": (
                """
                public ITEM Find(string FIELD) {
                    return ITEMs.FirstOrDefault(VAR => VAR.FIELD == FIELD);
                }
                """,
                """
                private ITEM[] ITEMs = new ITEM[NUM];
                ITEMs[0].FIELD = "WORD";
                """,
            ),
            "java csharp": (
                """
                if (VAR != null && VAR.ITEM != null && VAR.ITEM.FIELD != null) {
                    VERB(VAR.ITEM.FIELD);
                }
                """,
                """
                public class ITEM {
                    private ITEM2 VAR;

                    public ITEM(ITEM2 ITEM2) {
                        ITEM2 = VAR;
                    }
                }
                """,
            ),
            "javascript": (
                """
                function find(FIELD) {
                    ITEMs.forEach(function (VAR) {
                        if (VAR.FIELD === FIELD) return VAR;
                    });
                }
                """,
                """
                if (VAR && VAR.ITEM && VAR.ITEM.FIELD) {
                    VERB(VAR.ITEM.FIELD);
                }
                """,
            ),
            "python": (
                """
                def find(FIELD):
                    for VAR in ITEMs:
                        if VAR.FIELD == FIELD:
                            print(VAR)
                """,
                """
                if VAR is not None and VAR.ITEM is not None:
                    VERB_it(VAR.ITEM.FIELD)
                """,
            ),
        },
        hints={
            "java": ("i get a nullpointerexception.", "would optional be the way?", "npe at line NUM"),
            "csharp": (
                "nullreferenceexception was unhandled",
                "object reference not set to an instance of an object.",
            ),
            "javascript": (
                "uncaught typeerror: cannot read property 'FIELD' of undefined",
                "null or undefined?",
            ),
            "python": ("'nonetype' object has no attribute 'FIELD'", "it just prints none."),
        },
    ),
    Problem(
        name="closures in loops",
        titles=(
            "all buttons do the same in a loop",
            "function made in a loop uses the last value",
            "closure captures variable",
            "why do all my handlers print NUM",
        ),
        prose=(
            "in a loop i make NUM handlers, but all of them use the last value of the counter.",
            "i expected 0 1 2 3, it prints the same number each time.",
            "it seems that the variable is looked up later and not when the function is made.",
            "copying it into another variable helps, and i don't see why.",
        ),
        code={
            "java": (
                """
                for (int i = 0; i < NUM; i++) {
                    JButton VAR = new JButton("WORD " + i);
                    VAR.addActionListener(e -> System.out.println(i));
                    panel.add(VAR);
                }
                """,
                """
                List<Runnable> VAR = new ArrayList<>();
                for (int i = 0; i < NUM; i++) {
                    final int j = i;
                    VAR.add(() -> System.out.println(j));
                }
                """,
            ),
            "csharp": (
                """
                for (int i = 0; i < NUM; i++) {
                    Button VAR = new Button();
                    VAR.Click += (s, e) => MessageBox.Show(i.ToString());
                    panel1.Controls.Add(VAR);
                }
                """,
                """
                var VAR = new List<Action>();
                for (int i = 0; i < NUM; i++) {
                    VAR.Add(() => Console.WriteLine(i));
                }
                """,
            ),
            "javascript": (
                """
                for (var i = 0; i < NUM; i++) {
                    buttons[i].onclick = function () {
                        alert(i);
                    };
                }
                """,
                """
                for (var i = 0; i < NUM; i++) {
                    setTimeout(() => console.log(i), BIG);
                }
                """,
            ),
            "python": (
                """
                VAR = []
                for i in range(NUM):
                    VAR.append(lambda: i)
                print([f() for f in VAR])
                """,
                """
                for i in range(NUM):
                    b = Button(root, text='WORD %d' % i, command=lambda: VERB_it(i))
                    b.pack()
                """,
            ),
        },
        hints={
            "java": ("local variables referenced from a lambda expression must be final or effectively final",),
            "csharp": ("resharper warns: access to modified closure.",),
            "javascript": (
                "with let it works and with var it doesn't.",
                "somebody told me to wrap it in an iife.",
            ),
            "python": (
                "someone wrote lambda i=i: but that looks like a trick.",
                "would functools.partial help?",
            ),
        },
    ),
    Problem(
        name="recursion",
        titles=(
            "recursive function never ends",
            "stack overflow with recursion",
            "factorial of NUM",
            "fibonacci too slow",
            "sum of all FIELDs in a tree",
        ),
        prose=(
            "my recursive function works for small numbers, but with BIG it crashes.",
            "i have a tree of ITEMs and want the sum of all FIELDs with recursion.",
            "the number NUM takes forever, and i don't know how to make it remember the results.",
            "i think my end condition is wrong but on paper it is right.",
        ),
        code={
            "java csharp": (
                """
                public static int fib(int n) {
                    if (n < 2) {
                        return n;
                    }
                    return fib(n - 1) + fib(n - 2);
                }
                """,
                """
                private int sum(Node VAR) {
                    if (VAR == null) {
                        return 0;
                    } else {
                        return VAR.FIELD + sum(VAR.left) + sum(VAR.right);
                    }
                }
                """,
                """
                long fact(long n) {
                    return n * fact(n - 1);
                }
                """,
            ),
            "java": (
                """
                public static void main(String[] args) {
                    System.out.println(fib(NUM));
                }
                """,
            ),
            "csharp": (
                """
                static void Main(string[] args) {
                    Console.WriteLine(fib(NUM));
                    Console.ReadKey();
                }
                """,
            ),
            "javascript": (
                """
                function fib(n) {
                    if (n < 2) {
                        return n;
                    }
                    return fib(n - 1) + fib(n - 2);
                }
                """,
                """
                function sum(VAR) {
                    var total = VAR.FIELD;
                    VAR.children.forEach(c => { total += sum(c); });
                }
                """,
            ),
            "python": (
                """
                def fib(n):
                    if n < 2:
                        return n
                    return fib(n - 1) + fib(n - 2)
                """,
                """
                def sum(VAR):
                    if VAR:
                        return VAR.FIELD + sum(VAR.left) + sum(VAR.right)
                """,
            ),
        },
        hints={
            "java": ('exception in thread "main" stackoverflowerror', "is -xss the only way?"),
            "csharp": ("process is terminated due to stackoverflowexception.",),
            "javascript": ("rangeerror: maximum call stack size exceeded",),
            "python": (
                "runtimeerror: maximum recursion depth exceeded",
                "sys.setrecursionlimit makes it crash.",
            ),
        },
    ),
    Problem(
        name="singleton",
        titles=(
            "how to write a singleton",
            "only one instance of ITEM ROLE",
            "is a singleton bad",
            "share one object everywhere",
            "static or singleton",
        ),
        prose=(
            "there should be only one ITEM ROLE in the whole program, which everything can get at.",
            "somehow there are two of them, the constructor is called twice.",
            "is it safe when two threads ask for it at the same time?",
            "people say one should not do this, but what else?",
        ),
        code={
            "java csharp": (
                """
                public class ITEMROLE {
                    private static ITEMROLE instance;

                    private ITEMROLE() {
                    }

                    public static ITEMROLE getInstance() {
                        if (instance == null) {
                            instance = new ITEMROLE();
                        }
                        return instance;
                    }
                }
                """,
                """
                ITEMROLE a = ITEMROLE.getInstance();
                ITEMROLE b = ITEMROLE.getInstance();
                a.FIELD = NUM;
                """,
            ),
            "java": (
                """
                public static synchronized ITEMROLE getInstance() {
                    return instance;
                }
                """,
            ),
            "csharp": (
                """
                private static readonly ITEMROLE instance = new ITEMROLE();
                public static ITEMROLE Instance { get { return instance; } }
                """,
            ),
            "javascript": (
                """
                var ITEMROLE = (function () {
                    var instance;
                    return {
                        getInstance: function () {
                            if (!instance) instance = new Object();
                            return instance;
                        }
                    };
                })();
                """,
                """
                module.exports = new ITEMROLE();
                """,
            ),
            "python": (
                """
                class ITEMROLE(object):
                    _instance = None

                    def __new__(cls):
                        if cls._instance is None:
                            cls._instance = object.__new__(cls)
                        return cls._instance
                """,
                """
                _instance = None

                def get_instance():
                    global _instance
                    if not _instance:
                        _instance = ITEMROLE()
                    return _instance
                """,
            ),
        },
        hints={
            "java": ("i read that an enum is best for that.", "it is a @component in spring."),
            "csharp": ("should i take lazy<t>?", "double lock or static readonly?"),
            "javascript": ("does require() give me the same one each time?",),
            "python": ("is a module enough?", "the decorator breaks isinstance."),
        },
    ),
    Problem(
        name="equality",
        titles=(
            "two equal ITEMs are not equal",
            "compare two objects by FIELD",
            "if condition is false although both are WORD",
            "difference between the ways to compare",
            "contains does not find my ITEM",
        ),
        prose=(
            "both ITEMs have the same FIELD, but comparing them is false.",
            'when i compare the FIELD with "WORD" it is sometimes true and sometimes not.',
            "i'd like to say that two ITEMs are the same if they have the same FIELD.",
            "with small numbers like NUM it works, with BIG it doesn't.",
        ),
        code={
            "java": (
                """
                String a = "WORD";
                String b = new String("WORD");
                System.out.println(a == b);
                """,
                """
                @Override
                public boolean equals(Object VAR) {
                    return this.FIELD == ((ITEM) VAR).FIELD;
                }
                """,
            ),
            "csharp": (
                """
                object a = "WORD";
                object b = new String("WORD".ToCharArray());
                Console.WriteLine(a == b);
                """,
                """
                public override bool Equals(object VAR) {
                    return this.FIELD == ((ITEM)VAR).FIELD;
                }
                """,
            ),
            "java csharp": (
                """
                ITEM a = new ITEM(NUM, "WORD");
                ITEM b = new ITEM(NUM, "WORD");
                if (a.equals(b)) {
                    VERB(a);
                }
                """,
            ),
            "javascript": (
                """
                var a = { FIELD: "WORD" };
                var b = { FIELD: "WORD" };
                console.log(a == b, a === b);
                """,
                """
                if (VAR == "NUM" && VAR !== NUM) {
                    VERB(VAR);
                }
                """,
            ),
            "python": (
                """
                a = BIG
                b = BIG
                print(a is b, a == b)
                """,
                """
                def __eq__(self, other):
                    return self.FIELD is other.FIELD
                """,
            ),
        },
        hints={
            "java": ("do i also have to override hashcode?", "integer 127 is ok and 128 is not."),
            "csharp": ("it warns that gethashcode is not overridden.", "or operator== ?"),
            "javascript": ("== or === ?", "[] == [] is false too."),
            "python": ("is vs ==", "and what about __hash__?"),
        },
    ),
    Problem(
        name="floating point",
        titles=(
            "0.1 + 0.2 is not 0.3",
            "rounding to two decimals is wrong",
            "division gives 0",
            "sum of prices is off by one cent",
            "wrong result when dividing",
        ),
        prose=(
            "i add up the FIELD of NUM ITEMs and get a lot of digits at the end.",
            "the result of my division is always 0, although it should be a fraction.",
            "when it is exactly half i need it rounded up, but it goes down.",
            "it is about money, so a cent more or less matters.",
        ),
        code={
            "java csharp": (
                """
                double VAR = 0.1 + 0.2;
                if (VAR == 0.3) {
                    return NUM;
                }
                """,
                """
                int FIELD = NUM;
                int total = BIG;
                double VAR = FIELD / total * 100;
                """,
                """
                float avg = sum / count;
                return (int) (avg * 100) / 100;
                """,
            ),
            "java": (
                """
                double VAR = Math.round(NUM.245 * 100) / 100;
                System.out.println(VAR);
                """,
                """
                BigDecimal VAR = new BigDecimal(0.1);
                VAR.setScale(2, RoundingMode.HALF_UP);
                """,
            ),
            "csharp": (
                """
                decimal VAR = Math.Round(NUM.245m, 2);
                Console.WriteLine(VAR);
                """,
            ),
            "javascript": (
                """
                var VAR = 0.1 + 0.2;
                if (VAR === 0.3) {
                    console.log(VAR);
                }
                """,
                """
                var VAR = Math.round(NUM.245 * 100) / 100;
                return VAR.toFixed(2);
                """,
            ),
            "python": (
                """
                VAR = 0.1 + 0.2
                if VAR == 0.3:
                    print(VAR)
                """,
                """
                FIELD = NUM
                total = BIG
                print FIELD / total * 100
                """,
            ),
        },
        hints={
            "java": ("possible lossy conversion from double to int", "is bigdecimal necessary?"),
            "csharp": ("decimal or double?", "midpointrounding.awayfromzero fixes only some."),
            "javascript": ("all numbers are doubles here, right?",),
            "python": ("is it / or // ?", "round(2.5) is 2 here!"),
        },
    ),
    Problem(
        name="inheritance",
        titles=(
            "call the constructor of the base class",
            "child class does not see FIELD of its parent",
            "override a method but keep the old behaviour",
            "abstract method in base class",
            "class ITEM extends ITEM2",
        ),
        prose=(
            "i have a class that inherits from ITEM. the constructor of the base class needs the FIELD.",
            "the method of the base class is called and not the one of the child.",
            "i want to do what the parent does and then a bit more.",
            "the FIELD is set in the base class, but in the child it is empty.",
        ),
        code={
            "java": (
                """
                public class Big_ITEM extends ITEM {
                    public Big_ITEM(String FIELD) {
                        this.VAR = NUM;
                        super(FIELD);
                    }

                    @Override
                    public void VERB() {
                        super.VERB();
                    }
                }
                """,
            ),
            "csharp": (
                """
                public class Big_ITEM : ITEM {
                    public Big_ITEM(string FIELD) {
                        this.VAR = NUM;
                    }

                    public override void VERB() {
                        base.VERB();
                    }
                }
                """,
                """
                public new void VERB() {
                    base.VERB();
                }
                """,
            ),
            "java csharp": (
                """
                public abstract class ITEM {
                    protected string FIELD;

                    public ITEM(string FIELD) {
                        this.FIELD = FIELD;
                    }

                    public abstract void VERB();
                }
                """,
                """
                ITEM VAR = new Big_ITEM("WORD");
                VAR.VERB();
                """,
            ),
            "javascript": (
                """
                class Big_ITEM extends ITEM {
                    constructor(FIELD) {
                        this.VAR = NUM;
                        super(FIELD);
                    }

                    VERB() {
                        super.VERB();
                    }
                }
                """,
                """
                function Big_ITEM(FIELD) {
                    ITEM.call(this, FIELD);
                }
                Big_ITEM.prototype = new ITEM();
                """,
            ),
            "python": (
                """
                class Big_ITEM(ITEM):
                    def __init__(self, FIELD):
                        super(Big_ITEM, self).__init__()
                        self.VAR = NUM
                """,
                """
                class Big_ITEM(ITEM):
                    def VERB_it(self):
                        ITEM.VERB_it()
                        print(self.FIELD)
                """,
            ),
        },
        hints={
            "java": (
                "call to super must be first statement in constructor",
                "interface or abstract class? extends or implements?",
            ),
            "csharp": ("does not contain a constructor that takes 0 arguments", "virtual, override or new?"),
            "javascript": (
                "referenceerror: must call super constructor before accessing 'this'",
                "what is __proto__?",
            ),
            "python": ("typeerror: __init__() takes exactly 2 arguments (1 given)", "what does mro mean?"),
        },
    ),
    Problem(
        name="default arguments",
        titles=(
            "optional parameters",
            "call a function with some arguments left out",
            "default value for a parameter",
            "variable number of arguments",
            "pass arguments by name",
        ),
        prose=(
            "my function has NUM parameters and mostly i need only two of them.",
            "i would like to give a default to the FIELD and still set the one after it.",
            "the default seems to keep its value from one call to the next.",
            "is it possible to pass any number of ITEMs?",
        ),
        code={
            "java": (
                """
                public void VERB(String name) {
                    VERB(name, NUM);
                }

                public void VERB(String name, int... FIELDs) {
                }
                """,
            ),
            "csharp": (
                """
                public void VERB(string name, int FIELD = NUM) {
                }

                VERB(name: "WORD");
                """,
                """
                public void VERB(params int[] FIELDs) {
                }
                """,
            ),
            "java csharp": (
                """
                public void VERB(string name) {
                    VERB(name, NUM, null);
                }

                public void VERB(string name, int FIELD, ITEM VAR) {
                    this.FIELD = FIELD;
                }
                """,
            ),
            "javascript": (
                """
                function VERB(name, FIELD) {
                    FIELD = FIELD || NUM;
                    VERB.apply(this, arguments);
                }
                """,
                """
                function VERB({ name, FIELD = NUM } = {}) {
                    return name;
                }
                VERB({ name: "WORD" });
                """,
            ),
            "python": (
                """
                def VERB_it(name, FIELDs=[]):
                    FIELDs.append(name)
                    return FIELDs
                """,
                """
                def VERB_it(name, *args, **kwargs):
                    FIELD = kwargs.get('FIELD', NUM)

                VERB_it('WORD', FIELD=NUM2)
                """,
            ),
        },
        hints={
            "java": ("do i really need one overload for each?",),
            "csharp": ("default parameter value must be a compile-time constant.",),
            "javascript": ("if i pass 0 it takes the default.", "the missing ones are undefined."),
            "python": (
                "syntaxerror: non-default argument follows default argument",
                "what do the two stars mean?",
            ),
        },
    ),
    Problem(
        name="exceptions",
        titles=(
            "catch any exception and go on",
            "exception is swallowed",
            "rethrow an error without losing the trace",
            "finally is not executed",
            "own exception class",
        ),
        prose=(
            "when one ITEM fails i want to log it and go on with the next one.",
            "the program just stops and i never see the error.",
            "i catch the error and throw my own, but then i don't know where it came from.",
            "the file is not closed when there is an error in between.",
        ),
        code={
            "java": (
                """
                try {
                    VERB(ITEM);
                } catch (Exception e) {
                    e.printStackTrace();
                } finally {
                    file.close();
                }
                """,
                """
                public void VERB() throws IOException {
                    throw new ITEMException("WORD", e);
                }
                """,
            ),
            "csharp": (
                """
                try {
                    VERB(ITEM);
                } catch (Exception ex) {
                    Console.WriteLine(ex.Message);
                    throw ex;
                }
                """,
            ),
            "java csharp": (
                """
                try {
                    VERB(ITEM);
                } catch (Exception e) {
                    throw new ITEMException("WORD", e);
                } finally {
                    file.close();
                }
                """,
                """
                try {
                    VERB(VAR);
                } catch (Exception e) {
                    count++;
                }
                """,
            ),
            "javascript": (
                """
                try {
                    VERB(ITEM);
                } catch (e) {
                    console.log(e.stack);
                    throw new Error("WORD");
                }
                """,
                """
                VERB(ITEM)
                    .then(next)
                    .catch(function (err) { throw err; });
                """,
            ),
            "python": (
                """
                try:
                    VERB_it(ITEM)
                except:
                    pass
                """,
                """
                try:
                    VERB_it(ITEM)
                except Exception as e:
                    print(e)
                    raise ITEMError('WORD')
                finally:
                    f.close()
                """,
            ),
        },
        hints={
            "java": ("unreported exception; must be caught or declared to be thrown",),
            "csharp": (
                "throw or throw ex?",
                "the catch block says the variable ex is declared but never used.",
            ),
            "javascript": ("uncaught (in promise) error: WORD", "can i catch only one type of error here?"),
            "python": ("traceback (most recent call last)", "except exception, e is invalid syntax in 3."),
        },
    ),
    Problem(
        name="scope of a variable",
        titles=(
            "counter is always 0",
            "variable is not visible in the other function",
            "how to use a variable of another class",
            "change a global variable from a function",
            "value is lost after the method",
        ),
        prose=(
            "i count the calls of a function, but afterwards the counter is still 0.",
            "the variable is set in one function and i need it in the other.",
            "it says that the variable does not exist, but it is right above.",
            "every ITEM should have its own FIELD, but they all share one.",
        ),
        code={
            "java csharp": (
                """
                public class ITEM {
                    static int count = 0;

                    public void VERB() {
                        int count = NUM;
                        count++;
                    }
                }
                """,
                """
                if (FIELD > NUM) {
                    string VAR = "WORD";
                }
                return VAR;
                """,
            ),
            "java": (
                """
                public static void main(String[] args) {
                    VERB(count);
                    System.out.println(count);
                }
                """,
            ),
            "csharp": (
                """
                static void VERB(ref int count) {
                    count++;
                    Debug.WriteLine(count);
                }
                """,
            ),
            "javascript": (
                """
                var count = 0;
                function VERB() {
                    var count = NUM;
                    count++;
                }
                VERB();
                """,
                """
                ITEM.prototype.VERB = function () {
                    setTimeout(function () { this.FIELD++; }, BIG);
                };
                """,
            ),
            "python": (
                """
                count = 0
                def VERB_it():
                    count += 1
                VERB_it()
                """,
                """
                class ITEM:
                    FIELDs = []
                    def VERB_it(self):
                        self.FIELDs.append(NUM)
                """,
            ),
        },
        hints={
            "java": ("non-static method cannot be referenced from a static context", "cannot find symbol"),
            "csharp": (
                "the name 'VAR' does not exist in the current context",
                "an object reference is required for the non-static field",
            ),
            "javascript": ("uncaught referenceerror: VAR is not defined", "this is the window there."),
            "python": (
                "unboundlocalerror: local variable 'count' referenced before assignment",
                "name 'VAR' is not defined",
            ),
        },
    ),
)

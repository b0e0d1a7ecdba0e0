"""Lists, maps and what goes wrong with them."""

from pipeline.corpus.problems.problem import Problem

PROBLEMS = (
    Problem(
        name="sort a map by value",
        titles=(
            "sort ITEMs by FIELD",
            "how to sort a map by its values",
            "order the keys by value, highest first",
            "sorting pairs of ITEM and FIELD",
            "get the top NUM ITEMs by FIELD",
        ),
        prose=(
            "i have a map from ITEM to FIELD and want the entries sorted by the value, not by the key.",
            "it always comes out in the order of the keys, but i need the ITEM with the highest FIELD first.",
            "when two ITEMs have the same FIELD they should be sorted by name. i only need the first NUM.",
            "i can sort a plain list of numbers but then i lose which ITEM each FIELD belongs to.",
        ),
        code={
            "java": (
                """
                Map<String, Integer> FIELDs = new HashMap<>();
                FIELDs.put("WORD", NUM);
                FIELDs.put("WORD2", NUM2);
                List<Map.Entry<String, Integer>> ITEMs = new ArrayList<>(FIELDs.entrySet());
                Collections.sort(ITEMs, (a, b) -> b.getValue() - a.getValue());
                """,
                """
                ITEMs.entrySet().stream()
                    .sorted(Map.Entry.comparingByValue())
                    .limit(NUM)
                    .forEach(e -> System.out.println(e.getKey()));
                """,
            ),
            "csharp": (
                """
                Dictionary<string, int> FIELDs = new Dictionary<string, int>();
                FIELDs.Add("WORD", NUM);
                FIELDs.Add("WORD2", NUM2);
                var ITEMs = FIELDs.ToList();
                ITEMs.Sort((a, b) => b.Value - a.Value);
                """,
                """
                var sorted = from VAR in ITEMs orderby VAR.Value descending select VAR;
                foreach (KeyValuePair<string, int> VAR in sorted.Take(NUM)) {
                    Console.WriteLine(VAR.Key);
                }
                """,
            ),
            "java csharp": (
                """
                private int compare(ITEM a, ITEM b) {
                    if (a.FIELD == b.FIELD) {
                        return 0;
                    } else {
                        return a.FIELD > b.FIELD ? 1 : -1;
                    }
                }
                """,
            ),
            "javascript": (
                """
                var FIELDs = { "WORD": NUM, "WORD2": NUM2 };
                var sorted = Object.keys(FIELDs).sort(function (a, b) {
                    return FIELDs[b] - FIELDs[a];
                });
                """,
                """
                ITEMs.sort((a, b) => a.FIELD > b.FIELD);
                console.log(ITEMs.slice(0, NUM));
                """,
            ),
            "python": (
                """
                FIELDs = {'WORD': NUM, 'WORD2': NUM2}
                ITEMs = sorted(FIELDs.items(), key=lambda VAR: VAR[1], reverse=True)
                for k, v in ITEMs[:NUM]:
                    print(k, v)
                """,
                """
                from operator import itemgetter
                ITEMs.sort(key=itemgetter('FIELD'))
                top = ITEMs[-NUM:]
                """,
            ),
        },
        hints={
            "java": ("a treemap only sorts by key.", "should my ITEM implement comparable?"),
            "csharp": (
                "a sorteddictionary only sorts by key.",
                "orderby gives me an iorderedenumerable, not a dictionary.",
            ),
            "javascript": ("the order of the keys is different in firefox.", "sort() puts 10 before 9."),
            "python": (
                "it says 'dict' object has no attribute 'sort'.",
                "i think i need a tuple or an ordereddict?",
            ),
        },
    ),
    Problem(
        name="group by",
        titles=(
            "group ITEMs by FIELD",
            "how to group a list of objects by a property",
            "count ITEMs per FIELD",
            "sum of all FIELDs per group",
            "grouping and summing a list",
        ),
        prose=(
            "i have a list of ITEMs, each with a FIELD. i want one group per FIELD with all its ITEMs in it.",
            "in sql this would be a simple group by, but the data is already in memory.",
            "i need to count how many ITEMs there are for each FIELD and then the sum per group.",
            "my loop inside a loop works but it is slow with BIG ITEMs.",
        ),
        code={
            "java": (
                """
                Map<String, List<ITEM>> groups = new HashMap<>();
                for (ITEM VAR : ITEMs) {
                    if (!groups.containsKey(VAR.getFIELD())) {
                        groups.put(VAR.getFIELD(), new ArrayList<>());
                    }
                    groups.get(VAR.getFIELD()).add(VAR);
                }
                """,
                """
                Map<String, Long> counts = ITEMs.stream()
                    .collect(Collectors.groupingBy(ITEM::getFIELD, Collectors.counting()));
                """,
            ),
            "csharp": (
                """
                var groups = new Dictionary<string, List<ITEM>>();
                foreach (ITEM VAR in ITEMs) {
                    if (!groups.ContainsKey(VAR.FIELD)) {
                        groups.Add(VAR.FIELD, new List<ITEM>());
                    }
                    groups[VAR.FIELD].Add(VAR);
                }
                """,
                """
                var counts = ITEMs.GroupBy(VAR => VAR.FIELD)
                    .Select(g => new { g.Key, Count = g.Count() });
                """,
            ),
            "java csharp": (
                """
                int count = 0;
                for (int i = 0; i < FIELDs.length; i++) {
                    if (FIELDs[i] == VAR) {
                        count++;
                        total += ITEMs[i].FIELD;
                    }
                }
                """,
            ),
            "javascript": (
                """
                var groups = {};
                for (var i = 0; i < ITEMs.length; i++) {
                    var key = ITEMs[i].FIELD;
                    groups[key] = groups[key] || [];
                    groups[key].push(ITEMs[i]);
                }
                """,
                """
                const counts = ITEMs.reduce((VAR, ITEM) => {
                    VAR[ITEM.FIELD] = (VAR[ITEM.FIELD] || 0) + 1;
                    return VAR;
                }, {});
                """,
            ),
            "python": (
                """
                groups = {}
                for ITEM in ITEMs:
                    if ITEM.FIELD not in groups:
                        groups[ITEM.FIELD] = []
                    groups[ITEM.FIELD].append(ITEM)
                """,
                """
                from itertools import groupby
                for key, VAR in groupby(ITEMs, lambda i: i['FIELD']):
                    print key, len(list(VAR))
                """,
            ),
        },
        hints={
            "java": ("i am still on version 7, so no streams.",),
            "csharp": ("i tried groupby in linq but what is an igrouping?",),
            "javascript": ("underscore has a groupby but i don't want to load it for this.",),
            "python": (
                "groupby of itertools gives me the same key several times.",
                "df.groupby would do but it is a plain list.",
            ),
        },
    ),
    Problem(
        name="remove while iterating",
        titles=(
            "remove ITEMs from a list while looping over it",
            "removing elements in a loop skips some of them",
            "delete all ITEMs with FIELD NUM from a list",
            "how to safely remove from a list in a loop",
        ),
        prose=(
            "i loop over a list of ITEMs and want to remove those whose FIELD is below NUM.",
            "every second ITEM stays in the list although it should have been removed.",
            "if two ITEMs next to each other match, only the first of them is deleted.",
            "i could make a copy of the list, but there are BIG ITEMs and it must stay the same list.",
        ),
        code={
            "java": (
                """
                for (ITEM VAR : ITEMs) {
                    if (VAR.getFIELD() < NUM) {
                        ITEMs.remove(VAR);
                    }
                }
                """,
                """
                Iterator<ITEM> it = ITEMs.iterator();
                while (it.hasNext()) {
                    if (it.next().FIELD < NUM) {
                        it.remove();
                    }
                }
                """,
            ),
            "csharp": (
                """
                foreach (ITEM VAR in ITEMs) {
                    if (VAR.FIELD < NUM) {
                        ITEMs.Remove(VAR);
                    }
                }
                """,
                """
                for (int i = 0; i < ITEMs.Count; i++) {
                    if (ITEMs[i].FIELD < NUM) {
                        ITEMs.RemoveAt(i);
                    }
                }
                """,
            ),
            "javascript": (
                """
                for (var i = 0; i < ITEMs.length; i++) {
                    if (ITEMs[i].FIELD < NUM) {
                        ITEMs.splice(i, 1);
                    }
                }
                """,
                """
                ITEMs.forEach(function (VAR, i) {
                    if (VAR.FIELD === NUM) delete ITEMs[i];
                });
                """,
            ),
            "python": (
                """
                for ITEM in ITEMs:
                    if ITEM.FIELD < NUM:
                        ITEMs.remove(ITEM)
                """,
                """
                for i in range(len(ITEMs)):
                    if ITEMs[i] == NUM:
                        del ITEMs[i]
                """,
            ),
        },
        hints={
            "java": (
                "it throws a concurrentmodificationexception.",
                "exception in thread main at arraylist$itr.next",
            ),
            "csharp": (
                "i get: collection was modified; enumeration operation may not execute.",
                "removeall with a predicate?",
            ),
            "javascript": ("afterwards the array has undefined in it.", "should i use filter or splice?"),
            "python": ("indexerror: list index out of range", "can i do it with a list comprehension?"),
        },
    ),
    Problem(
        name="dictionary default",
        titles=(
            "default value when a key is missing",
            "counting words, first time fails",
            "key not found when counting ITEMs",
            "increment a counter in a map",
            "get value or default from map",
        ),
        prose=(
            "i count how often each ITEM occurs, but the first time there is no entry for it yet.",
            "do i really have to check for the key each time before i add NUM to it?",
            "it fails at the first ITEM whose FIELD is not there already.",
            "i would like a map that gives me 0 for everything it doesn't know.",
        ),
        code={
            "java": (
                """
                Map<String, Integer> VAR = new HashMap<String, Integer>();
                for (String w : text.split(" ")) {
                    VAR.put(w, VAR.get(w) + 1);
                }
                """,
                """
                if (FIELDs.get(ITEM) == null) {
                    FIELDs.put(ITEM, NUM);
                }
                int VAR = FIELDs.get(ITEM);
                """,
            ),
            "csharp": (
                """
                var VAR = new Dictionary<string, int>();
                foreach (string w in text.Split(' ')) {
                    VAR[w] = VAR[w] + 1;
                }
                """,
                """
                int VAR;
                if (!FIELDs.TryGetValue(ITEM, out VAR)) {
                    FIELDs[ITEM] = NUM;
                }
                """,
            ),
            "javascript": (
                """
                var VAR = {};
                text.split(" ").forEach(function (w) {
                    VAR[w] += 1;
                });
                """,
                """
                let count = FIELDs[ITEM] || NUM;
                FIELDs[ITEM] = count + 1;
                """,
            ),
            "python": (
                """
                VAR = {}
                for w in text.split(" "):
                    VAR[w] += 1
                """,
                """
                if ITEM not in FIELDs:
                    FIELDs[ITEM] = NUM
                count = FIELDs[ITEM] + 1
                """,
            ),
        },
        hints={
            "java": (
                "it is a nullpointerexception because of the unboxing i think.",
                "getordefault is not there in my version.",
            ),
            "csharp": (
                "the given key was not present in the dictionary.",
                "trygetvalue with its out parameter looks ugly.",
            ),
            "javascript": ("all the counts are nan.", "it prints undefined1 for the first."),
            "python": ("keyerror: 'WORD'", "should i use setdefault or defaultdict(int)?"),
        },
    ),
    Problem(
        name="deep copy",
        titles=(
            "changing the copy changes the original",
            "how to really copy a list of ITEMs",
            "deep copy of an object",
            "copied ITEM still shares its FIELD",
            "clone nested object",
        ),
        prose=(
            "i make a copy of a ITEM and change its FIELD, but then the FIELD of the original changes too.",
            "it seems that both variables point to the same ITEM. how do i get a real copy?",
            "the outer list is copied but the ITEMs inside are the same ones.",
            "i need it for an undo function: keep the old state, change the new one.",
        ),
        code={
            "java": (
                """
                List<ITEM> backup = new ArrayList<ITEM>(ITEMs);
                ITEMs.get(0).setFIELD(NUM);
                System.out.println(backup.get(0).getFIELD());
                """,
                """
                public class ITEM implements Cloneable {
                    private List<String> FIELDs;

                    @Override
                    public Object clone() throws CloneNotSupportedException {
                        return super.clone();
                    }
                }
                """,
            ),
            "csharp": (
                """
                List<ITEM> backup = new List<ITEM>(ITEMs);
                ITEMs[0].FIELD = NUM;
                Console.WriteLine(backup[0].FIELD);
                """,
                """
                public class ITEM : ICloneable {
                    private List<string> FIELDs;

                    public object Clone() {
                        return this.MemberwiseClone();
                    }
                }
                """,
            ),
            "java csharp": (
                """
                ITEM VAR = new ITEM("WORD", NUM);
                ITEM copy = VAR;
                copy.FIELD = NUM2;
                // VAR.FIELD is NUM2 now, why?
                """,
            ),
            "javascript": (
                """
                var VAR = { FIELD: NUM, tags: ["WORD"] };
                var copy = Object.assign({}, VAR);
                copy.tags.push("WORD2");
                // VAR.tags has it too, why?
                """,
                """
                const backup = [...ITEMs];
                backup[0].FIELD = NUM;
                console.log(ITEMs[0].FIELD);
                """,
            ),
            "python": (
                """
                VAR = {'FIELD': NUM, 'tags': ['WORD']}
                copy = VAR
                copy['tags'].append('WORD2')
                # VAR has it too, why?
                """,
                """
                backup = ITEMs[:]
                backup[0].FIELD = NUM
                print(ITEMs[0].FIELD)
                """,
            ),
        },
        hints={
            "java": ("is a copy constructor better than cloneable?",),
            "csharp": ("memberwiseclone is only shallow, and it is a class, not a struct.",),
            "javascript": ("json.parse(json.stringify(...)) loses the dates and functions.",),
            "python": ("id() is the same for both.", "is copy.deepcopy slow?"),
        },
    ),
    Problem(
        name="off by one",
        titles=(
            "loop goes one too far",
            "index out of range in the last step",
            "why does my loop stop one ITEM too early",
            "array index error with NUM ITEMs",
            "first ITEM is never printed",
        ),
        prose=(
            "the loop prints all ITEMs and then fails at the end.",
            "i have an array of NUM numbers and want to add each to the one after it.",
            "the last ITEM is missing from the output, all the others are there.",
            "i know that counting begins at 0 but i still get it wrong somewhere.",
        ),
        code={
            "java": (
                """
                int[] VAR = new int[NUM];
                for (int i = 0; i <= VAR.length; i++) {
                    System.out.println(VAR[i] + VAR[i + 1]);
                }
                """,
            ),
            "csharp": (
                """
                int[] VAR = new int[NUM];
                for (int i = 0; i <= VAR.Length; i++) {
                    Console.WriteLine(VAR[i] + VAR[i + 1]);
                }
                """,
            ),
            "java csharp": (
                """
                int sum = 0;
                for (int i = 1; i <= ITEMs.length; i++) {
                    sum += ITEMs[i].FIELD;
                }
                return sum;
                """,
                """
                int i = NUM;
                while (i > 0) {
                    i--;
                    sum = sum + FIELDs[i + 1];
                }
                """,
            ),
            "javascript": (
                """
                var sum = 0;
                for (var i = 1; i <= ITEMs.length; i++) {
                    sum += ITEMs[i].FIELD;
                }
                return sum;
                """,
                """
                let i = NUM;
                while (i > 0) {
                    i--;
                    sum = sum + FIELDs[i + 1];
                }
                """,
            ),
            "python": (
                """
                sum = 0
                for i in range(1, len(ITEMs) + 1):
                    sum += ITEMs[i].FIELD
                return sum
                """,
                """
                i = NUM
                while i > 0:
                    i -= 1
                    sum = sum + FIELDs[i + 1]
                """,
            ),
        },
        hints={
            "java": ("arrayindexoutofboundsexception: NUM",),
            "csharp": ("an unhandled exception: index was outside the bounds of the array.",),
            "javascript": ("cannot read property 'FIELD' of undefined", "the sum is nan."),
            "python": ("indexerror: list index out of range", "does range include the last one?"),
        },
    ),
    Problem(
        name="iterator",
        titles=(
            "make my own class iterable",
            "how to loop over a custom class",
            "write an iterator for a ITEM list",
            "lazy sequence of numbers",
            "walk through a tree of ITEMs one by one",
        ),
        prose=(
            "i have a class that holds ITEMs and i want to use it directly in a for loop.",
            "the ITEMs should be made one after the other, not all BIG at once, because of memory.",
            "i don't understand who keeps track of the position between two steps.",
            "the second time i loop over it there is nothing left.",
        ),
        code={
            "java": (
                """
                public class ITEMList implements Iterable<ITEM> {
                    private int pos = 0;

                    public boolean hasNext() {
                        return pos < NUM;
                    }

                    public ITEM next() {
                        return ITEMs[pos++];
                    }
                }
                """,
            ),
            "csharp": (
                """
                public class ITEMList : IEnumerable<ITEM> {
                    private int pos = 0;

                    public bool MoveNext() {
                        return pos++ < NUM;
                    }

                    public ITEM Current {
                        get { return ITEMs[pos]; }
                    }
                }
                """,
                """
                public IEnumerable<int> VERB() {
                    for (int i = 0; i < NUM; i++) {
                        yield return ITEMs[i];
                    }
                }
                """,
            ),
            "javascript": (
                """
                function* VERBAll() {
                    for (let i = 0; i < NUM; i++) {
                        yield ITEMs[i];
                    }
                }
                """,
                """
                function ITEMList() {
                    this.pos = 0;
                }
                ITEMList.prototype.next = function () {
                    return { value: this.ITEMs[this.pos++], done: this.pos > NUM };
                };
                """,
            ),
            "python": (
                """
                class ITEMList:
                    def __init__(self):
                        self.pos = 0

                    def next(self):
                        self.pos += 1
                        return self.ITEMs[self.pos]
                """,
                """
                def VERB_all():
                    for i in range(NUM):
                        yield ITEMs[i]
                """,
            ),
        },
        hints={
            "java": ("can only iterate over an array or an instance of iterable, says eclipse.",),
            "csharp": ("foreach cannot operate on it because it has no public definition for getenumerator.",),
            "javascript": (
                "uncaught typeerror: ITEMs is not iterable",
                "for in gives me the keys and for of fails.",
            ),
            "python": ("typeerror: iter() returned non-iterator", "when do i have to raise stopiteration?"),
        },
    ),
    Problem(
        name="duplicates",
        titles=(
            "remove duplicates from a list of ITEMs",
            "unique ITEMs by FIELD",
            "find the duplicates in an array",
            "check if a list contains the same ITEM twice",
        ),
        prose=(
            "there are several ITEMs with the same FIELD in my list, only the first of each should stay.",
            "the order must stay as it is, otherwise a set would be fine.",
            "i compare each ITEM with each other one, that takes NUM seconds for BIG of them.",
            "a set does not help because two ITEMs with the same FIELD are still two objects.",
        ),
        code={
            "java": (
                """
                Set<ITEM> unique = new LinkedHashSet<ITEM>(ITEMs);
                ITEMs.clear();
                ITEMs.addAll(unique);
                """,
                """
                List<ITEM> unique = new ArrayList<>();
                for (ITEM VAR : ITEMs) {
                    if (!unique.contains(VAR)) {
                        unique.add(VAR);
                    }
                }
                """,
            ),
            "csharp": (
                """
                var unique = new HashSet<ITEM>(ITEMs);
                ITEMs.Clear();
                ITEMs.AddRange(unique);
                """,
                """
                List<ITEM> unique = new List<ITEM>();
                foreach (ITEM VAR in ITEMs) {
                    if (!unique.Contains(VAR)) {
                        unique.Add(VAR);
                    }
                }
                """,
            ),
            "java csharp": (
                """
                for (int i = 0; i < NUM; i++) {
                    for (int j = i + 1; j < NUM; j++) {
                        if (ITEMs[i].equals(ITEMs[j])) {
                            found = true;
                        }
                    }
                }
                """,
            ),
            "javascript": (
                """
                var unique = [];
                for (var i = 0; i < ITEMs.length; i++) {
                    if (unique.indexOf(ITEMs[i]) === -1) {
                        unique.push(ITEMs[i]);
                    }
                }
                """,
                """
                const unique = ITEMs.filter((VAR, i) => ITEMs.indexOf(VAR) == i);
                """,
            ),
            "python": (
                """
                unique = []
                for ITEM in ITEMs:
                    if ITEM not in unique:
                        unique.append(ITEM)
                """,
                """
                seen = set()
                unique = [VAR for VAR in ITEMs if not (VAR in seen or seen.add(VAR))]
                """,
            ),
        },
        hints={
            "java": ("do i need equals and hashcode for this?",),
            "csharp": ("distinct() does nothing for my class, do i need an iequalitycomparer?",),
            "javascript": ("new set(ITEMs) does not work in ie 11.",),
            "python": ("typeerror: unhashable type: 'list'", "list(set(ITEMs)) mixes up the order."),
        },
    ),
    Problem(
        name="two dimensional array",
        titles=(
            "changing one row changes all rows",
            "create a NUM by NUM2 grid",
            "rotate a matrix",
            "how to fill a 2d array",
            "print a 2d board of a game",
        ),
        prose=(
            "i need a grid for a game, NUM rows and NUM2 columns, all zero at the beginning.",
            "when i set one cell the whole column gets the new value.",
            "rows and columns seem to be swapped, i never know which index comes first.",
            "i want to print it as a table, one row per line.",
        ),
        code={
            "java": (
                """
                int[][] grid = new int[NUM][NUM2];
                for (int[] row : grid) {
                    for (int cell : row) {
                        System.out.print(cell + " ");
                    }
                    System.out.println();
                }
                """,
            ),
            "csharp": (
                """
                int[,] grid = new int[NUM, NUM2];
                for (int i = 0; i < grid.GetLength(0); i++) {
                    for (int j = 0; j < grid.GetLength(1); j++) {
                        Console.Write(grid[i, j] + " ");
                    }
                    Console.WriteLine();
                }
                """,
            ),
            "java csharp": (
                """
                int[][] grid = new int[NUM][];
                int[] row = new int[NUM2];
                for (int i = 0; i < NUM; i++) {
                    grid[i] = row;
                }
                grid[0][0] = 1;
                """,
            ),
            "javascript": (
                """
                var grid = new Array(NUM).fill(new Array(NUM2).fill(0));
                grid[0][0] = 1;
                console.log(grid.join("\\n"));
                """,
                """
                var grid = [], row = [];
                for (var i = 0; i < NUM; i++) {
                    grid[i] = row;
                }
                grid[0][0] = 1;
                """,
            ),
            "python": (
                """
                grid = [[0] * NUM2] * NUM
                grid[0][0] = 1
                for row in grid:
                    print(row)
                """,
                """
                grid = []
                row = [0, 0, 0]
                for i in range(NUM):
                    grid.append(row)
                grid[0][0] = 1
                """,
            ),
        },
        hints={
            "java": ("arrays.tostring prints [[i@1b6d3586 for it.",),
            "csharp": ("what is the difference between int[,] and int[][]?", "jagged or multidimensional?"),
            "javascript": (
                "then i want to show it as a table in the page.",
                "in the end it goes on a canvas.",
            ),
            "python": ("can numpy do it?", "i don't want to use numpy for this."),
        },
    ),
    Problem(
        name="enum lookup",
        titles=(
            "get enum value from a string",
            "how to look up a constant by its name",
            "loop over all values of an enum",
            "convert text from the user to one of NUM constants",
            "enum or constants for the FIELD of a ITEM",
        ),
        prose=(
            "a ITEM has a state that is one of new, open and closed. it comes as text from a file.",
            "i want to turn the text into the constant, whatever its case, anything else is an error.",
            "at the moment it is a long chain of ifs, one for each state.",
            "each state also has a number (NUM, NUM2) and i need to go from the number to the state.",
        ),
        code={
            "java": (
                """
                public enum State {
                    NEW(NUM), OPEN(NUM2);
                    private final int code;
                }
                State VAR = State.valueOf(text.toUpperCase());
                """,
                """
                for (State s : State.values()) {
                    if (s.name().equals(text)) {
                        return s;
                    }
                }
                throw new IllegalArgumentException(text);
                """,
            ),
            "csharp": (
                """
                public enum State {
                    New = NUM,
                    Open = NUM2
                }
                State VAR = (State)Enum.Parse(typeof(State), text);
                """,
                """
                foreach (State s in Enum.GetValues(typeof(State))) {
                    if (s.ToString() == text) {
                        return s;
                    }
                }
                throw new ArgumentException(text);
                """,
            ),
            "java csharp": (
                """
                switch (ITEM.state) {
                    case State.open:
                        VAR = NUM;
                        break;
                    default:
                        VAR = NUM2;
                        break;
                }
                """,
            ),
            "javascript": (
                """
                const State = Object.freeze({ NEW: NUM, OPEN: NUM2 });
                var VAR = State[text.toUpperCase()];
                """,
                """
                switch (ITEM.state) {
                    case "open":
                        VAR = NUM;
                        break;
                    default:
                        VAR = NUM2;
                }
                """,
            ),
            "python": (
                """
                class State(Enum):
                    NEW = NUM
                    OPEN = NUM2

                VAR = State[text.upper()]
                """,
                """
                if ITEM.state == 'open':
                    VAR = NUM
                elif ITEM.state == 'new':
                    VAR = NUM2
                """,
            ),
        },
        hints={
            "java": ("no enum constant, it says.", "can i put it in a switch? constant expression required."),
            "csharp": (
                "requested value was not found, from enum.parse.",
                "i also use the flags attribute on it.",
            ),
            "javascript": ("there is no real enum so i use an object.",),
            "python": (
                "there is no switch so what do people do instead?",
                "from enum import enum fails in 2.7.",
            ),
        },
    ),
)

"""Whole programs: dates, threads, files, processes, tests, tools."""

from pipeline.corpus.problems.problem import Problem

PROBLEMS = (
    Problem(
        name="date difference",
        titles=(
            "days between two dates",
            "difference of dates in days",
            "add NUM days to a date",
            "how old is a ITEM in years",
            "convert string DAY to a date",
        ),
        prose=(
            "i have two dates as text, like DAY and DAY2, and want the number of days between them.",
            "the result is one day too few, i guess because of daylight saving time.",
            "i need to add NUM days to it and skip the weekends.",
            "the month is always wrong by one.",
        ),
        code={
            "java": (
                """
                SimpleDateFormat VAR = new SimpleDateFormat("yyyy-MM-dd");
                Date a = VAR.parse("DAY");
                Date b = VAR.parse("DAY2");
                long days = (b.getTime() - a.getTime()) / 86400000;
                """,
                """
                LocalDate VAR = LocalDate.parse("DAY");
                long days = ChronoUnit.DAYS.between(VAR, LocalDate.now());
                """,
            ),
            "csharp": (
                """
                DateTime a = DateTime.Parse("DAY");
                DateTime b = DateTime.Parse("DAY2");
                int days = (b - a).Days;
                """,
                """
                TimeSpan VAR = DateTime.Now.Subtract(start);
                label1.Text = VAR.TotalDays.ToString();
                """,
            ),
            "javascript": (
                """
                var a = new Date("DAY");
                var b = new Date("DAY2");
                var days = (b - a) / 86400000;
                """,
                """
                var VAR = new Date();
                VAR.setDate(VAR.getDate() + NUM);
                alert(VAR.getMonth() + "/" + VAR.getYear());
                """,
            ),
            "python": (
                """
                a = datetime.strptime('DAY', '%Y-%m-%d')
                b = datetime.strptime('DAY2', '%Y-%m-%d')
                days = (b - a).seconds / 86400
                """,
                """
                VAR = datetime.date.today() + datetime.timedelta(days=NUM)
                print(VAR)
                """,
            ),
        },
        hints={
            "java": ('unparseable date: "DAY"', "joda time or calendar?"),
            "csharp": ("string was not recognized as a valid datetime.", "timespan has no years."),
            "javascript": ("it prints invalid date in safari.", "do i need moment for that?"),
            "python": (
                "can't compare offset-naive and offset-aware datetimes",
                "'module' object has no attribute 'strptime'",
            ),
        },
    ),
    Problem(
        name="result of a background task",
        titles=(
            "get a result back from a thread",
            "value is empty because the function returns too early",
            "wait until all NUM tasks are done",
            "run NUM tasks at the same time",
            "how to wait for an async call",
        ),
        prose=(
            "i start a task in the background and want its result, but the variable is still empty.",
            "it should run NUM of them at once and go on when all have finished.",
            "it seems that the next line runs before the task is done.",
            "if i wait for the result, everything freezes.",
        ),
        code={
            "java": (
                """
                ExecutorService pool = Executors.newFixedThreadPool(NUM);
                Future<String> VAR = pool.submit(() -> VERB(ITEM));
                System.out.println(VAR.get());
                """,
                """
                Thread t = new Thread(new Runnable() {
                    public void run() {
                        result = VERB(ITEM);
                    }
                });
                t.start();
                """,
            ),
            "csharp": (
                """
                Task<string> VAR = Task.Run(() => VERB(ITEM));
                VAR.Wait();
                Console.WriteLine(VAR.Result);
                """,
                """
                private async Task<ITEM> VERBAsync() {
                    var VAR = await client.GetAsync(url);
                    return VAR;
                }
                """,
            ),
            "java csharp": (
                """
                Thread t = new Thread(VERB);
                t.start();
                t.join();
                return result;
                """,
                """
                lock (VAR) {
                    while (count < NUM) {
                        count++;
                        VERB(ITEMs[count]);
                    }
                }
                """,
            ),
            "javascript": (
                """
                var result;
                VERB(ITEM, function (err, VAR) {
                    result = VAR;
                });
                console.log(result);
                """,
                """
                async function all() {
                    ITEMs.forEach(async (VAR) => {
                        await VERB(VAR);
                    });
                    console.log("done");
                }
                """,
            ),
            "python": (
                """
                t = threading.Thread(target=VERB_it, args=(ITEM,))
                t.start()
                VAR = t.join()
                """,
                """
                pool = Pool(NUM)
                VAR = pool.map(VERB_it, ITEMs)
                print(VAR)
                """,
            ),
        },
        hints={
            "java": ("executionexception, caused by interruptedexception", "is completablefuture better?"),
            "csharp": ("the ui thread is blocked with .result, deadlock?", "async void or async task?"),
            "javascript": ("it logs promise {<pending>}", "callback hell, i know."),
            "python": ("because of the gil it is not faster.", "coroutine was never awaited"),
        },
    ),
    Problem(
        name="watch a folder",
        titles=(
            "watch a folder for new files",
            "file is still in use when i open it",
            "get notified when FILE.txt changes",
            "list all files in a folder and its subfolders",
        ),
        prose=(
            "whenever a new file is put in a folder my program should read it.",
            "the event comes twice for each file.",
            "the file is not completely written yet when i start to read it.",
            "asking every NUM seconds works, but there must be something better.",
        ),
        code={
            "java": (
                """
                WatchService VAR = FileSystems.getDefault().newWatchService();
                dir.register(VAR, StandardWatchEventKinds.ENTRY_CREATE);
                WatchKey key = VAR.take();
                """,
                """
                for (File VAR : new File("ITEMs").listFiles()) {
                    if (VAR.isDirectory()) {
                        VERB(VAR);
                    }
                }
                """,
            ),
            "csharp": (
                """
                FileSystemWatcher VAR = new FileSystemWatcher("ITEMs");
                VAR.Created += new FileSystemEventHandler(OnCreated);
                VAR.EnableRaisingEvents = true;
                """,
                """
                foreach (string VAR in Directory.GetFiles("ITEMs", "*.txt")) {
                    VERB(VAR);
                }
                """,
            ),
            "java csharp": (
                """
                while (true) {
                    if (file.exists()) {
                        VERB(file);
                    }
                    Thread.sleep(BIG);
                }
                """,
            ),
            "javascript": (
                """
                fs.watch("ITEMs", function (event, name) {
                    VERB(name);
                });
                """,
                """
                fs.readdirSync("ITEMs").forEach(VAR => {
                    if (fs.statSync(VAR).isDirectory()) VERB(VAR);
                });
                """,
            ),
            "python": (
                """
                while True:
                    for VAR in os.listdir('ITEMs'):
                        VERB_it(VAR)
                    time.sleep(NUM)
                """,
                """
                for root, dirs, files in os.walk('ITEMs'):
                    for VAR in files:
                        VERB_it(os.path.join(root, VAR))
                """,
            ),
        },
        hints={
            "java": ("accessdeniedexception on windows.",),
            "csharp": ("the process cannot access the file because it is being used by another process.",),
            "javascript": (
                "error: enoent: no such file or directory",
                "chokidar does it but i want it without.",
            ),
            "python": (
                "oserror: [errno 2] no such file or directory",
                "the watchdog package needs a class for that.",
            ),
        },
    ),
    Problem(
        name="mocks in a unit test",
        titles=(
            "mock a ITEM ROLE in a unit test",
            "how to test a function that calls the database",
            "test passes alone but fails together with others",
            "check that a method was called NUM times",
        ),
        prose=(
            "my class calls a ITEM ROLE, and in the test i want to replace it by a fake one.",
            "the mock is ignored and the real thing is called.",
            "i'd like to check that it has been called exactly NUM times with the right FIELD.",
            "alone the test is green, when all run together it is red.",
        ),
        code={
            "java": (
                """
                @Test
                public void VERBs() {
                    ITEMROLE VAR = mock(ITEMROLE.class);
                    when(VAR.VERB()).thenReturn(NUM);
                    assertEquals(NUM, new ITEM(VAR).getFIELD());
                }
                """,
            ),
            "csharp": (
                """
                [Test]
                public void VERBs() {
                    var VAR = new Mock<IITEMROLE>();
                    VAR.Setup(m => m.VERB()).Returns(NUM);
                    Assert.AreEqual(NUM, new ITEM(VAR.Object).FIELD);
                }
                """,
            ),
            "java csharp": (
                """
                public ITEM(ITEMROLE VAR) {
                    this.VAR = VAR;
                }

                public int VERB() {
                    return VAR.VERB() + NUM;
                }
                """,
            ),
            "javascript": (
                """
                it("VERBs the ITEM", function () {
                    var VAR = sinon.stub(ITEMROLE, "VERB").returns(NUM);
                    expect(new ITEM().FIELD).to.equal(NUM);
                });
                """,
                """
                const VAR = jest.fn(() => NUM);
                expect(VAR).toHaveBeenCalledTimes(NUM2);
                """,
            ),
            "python": (
                """
                @patch('ITEMROLE.VERB_it')
                def test_VERB(self, VAR):
                    VAR.return_value = NUM
                    self.assertEqual(ITEM().FIELD, NUM)
                """,
                """
                def test_VERB(monkeypatch):
                    monkeypatch.setattr(ITEMROLE, 'VERB_it', lambda: NUM)
                    assert ITEM().FIELD == NUM
                """,
            ),
        },
        hints={
            "java": ("mockito: wanted but not invoked", "do i need powermock for static ones?"),
            "csharp": ("moq: invalid setup on a non-virtual member", "the test explorer does not find it."),
            "javascript": ("timeout of 2000ms exceeded in mocha", "jasmine spies or sinon?"),
            "python": ("in unittest, setup is called twice.", "where do i have to patch it?"),
        },
    ),
    Problem(
        name="dependencies",
        titles=(
            "package is installed but not found",
            "build fails on the server",
            "two versions of the same library",
            "how to install a library without internet",
            "works in the editor, not from the command line",
        ),
        prose=(
            "i have installed the library, but when i start the program it can't be found.",
            "in my editor it runs, in the terminal it says that the module is missing.",
            "two libraries need different versions of the same third one.",
            "how do i give the program with all it needs to somebody else?",
        ),
        code={
            "java": (
                """
                <dependency>
                    <groupId>com.example</groupId>
                    <artifactId>ITEM-ROLE</artifactId>
                    <version>1.NUM</version>
                </dependency>
                """,
                """
                import com.example.ITEM.ITEMROLE;
                """,
            ),
            "csharp": (
                """
                <ItemGroup>
                    <PackageReference Include="ITEM.ROLE" Version="1.NUM" />
                </ItemGroup>
                """,
                """
                using ITEM.ROLE;
                using System.Collections.Generic;
                """,
            ),
            "javascript": (
                """
                "dependencies": {
                    "ITEM-ROLE": "^1.NUM.0"
                }
                """,
                """
                var VAR = require("ITEM-ROLE");
                import { VERB } from "./ITEM";
                """,
            ),
            "python": (
                """
                >>> import ITEM_ROLE
                >>> from ITEM import VERB_it
                """,
                """
                install_requires=[
                    'ITEM-ROLE==1.NUM',
                ],
                """,
            ),
        },
        hints={
            "java": (
                "noclassdeffounderror",
                "mvn clean install says build success.",
                "what should be on the classpath?",
            ),
            "csharp": (
                "could not load file or assembly or one of its dependencies",
                "are you missing an assembly reference?",
            ),
            "javascript": ("cannot find module in node_modules", "npm err! peer dep missing"),
            "python": (
                "importerror: no module named ITEM",
                "pip install says requirement already satisfied.",
            ),
        },
    ),
    Problem(
        name="logging",
        titles=(
            "log file stays empty",
            "log to a file and the screen",
            "every message is logged twice",
            "new log file each day",
            "how to switch off debug messages",
        ),
        prose=(
            "the messages should go to FILE.log and to the screen, but the file is empty.",
            "every line is in the log two times, or even NUM times after a while.",
            "i want a new file each day and keep the last NUM of them.",
            "debug messages of a library fill the file, i want to see only mine.",
        ),
        code={
            "java": (
                """
                private static final Logger log = LoggerFactory.getLogger(ITEMROLE.class);
                log.debug("WORD {}", ITEM.getFIELD());
                """,
                """
                log4j.rootLogger=DEBUG, file
                log4j.appender.file.File=FILE.log
                """,
            ),
            "csharp": (
                """
                private static readonly ILog log = LogManager.GetLogger(typeof(ITEMROLE));
                log.Debug("WORD " + ITEM.FIELD);
                """,
                """
                <target name="file" type="File" fileName="FILE.log" />
                """,
            ),
            "java csharp": (
                """
                public void log(string message) {
                    if (level > NUM) {
                        file.write(message + "\\n");
                        file.flush();
                    }
                }
                """,
            ),
            "javascript": (
                """
                const logger = winston.createLogger({
                    level: "debug",
                    transports: [new winston.transports.File({ filename: "FILE.log" })]
                });
                """,
                """
                console.log = function (VAR) {
                    logs.push(VAR);
                };
                """,
            ),
            "python": (
                """
                logging.basicConfig(filename='FILE.log', level=logging.DEBUG)
                log = logging.getLogger(__name__)
                log.debug('WORD %s', ITEM.FIELD)
                """,
                """
                handler = logging.FileHandler('FILE.log')
                logger.addHandler(handler)
                """,
            ),
        },
        hints={
            "java": ("log4j:warn no appenders could be found for logger", "slf4j: multiple bindings"),
            "csharp": ("nlog or log4net?", "the app.config has a section for it."),
            "javascript": ("morgan or winston?", "i can see it in the dev tools only."),
            "python": ('no handlers could be found for logger "root"', "the dictconfig is from the docs."),
        },
    ),
    Problem(
        name="command line arguments",
        titles=(
            "read command line arguments",
            "argument with a space is split",
            "optional flag on the command line",
            "program needs a file name as argument",
            "show usage when no argument is given",
        ),
        prose=(
            "my program should be called with a file name and an optional number.",
            "when no argument is given it should print how to use it, instead it crashes.",
            "the file name has a space in it and arrives as two arguments.",
            "which index has the first argument, 0 or 1?",
        ),
        code={
            "java": (
                """
                public static void main(String[] args) {
                    if (args.length < 1) {
                        System.out.println("usage: VERB FILE.txt");
                        System.exit(1);
                    }
                    VERB(args[0], NUM);
                }
                """,
            ),
            "csharp": (
                """
                static void Main(string[] args) {
                    if (args.Length < 1) {
                        Console.WriteLine("usage: VERB FILE.txt");
                        Environment.Exit(1);
                    }
                    VERB(args[0], NUM);
                }
                """,
            ),
            "java csharp": (
                """
                static void main(string[] args) {
                    for (int i = 0; i < args.length; i++) {
                        VERB(args[i]);
                    }
                }
                """,
            ),
            "javascript": (
                """
                if (process.argv.length < 3) {
                    console.log("usage: VERB FILE.txt");
                    process.exit(1);
                }
                VERB(process.argv[2], NUM);
                """,
            ),
            "python": (
                """
                if len(sys.argv) < 2:
                    print('usage: VERB FILE.txt')
                    sys.exit(1)
                VERB_it(sys.argv[1], NUM)
                """,
                """
                parser = argparse.ArgumentParser()
                parser.add_argument('--FIELD', type=int, default=NUM)
                args = parser.parse_args()
                """,
            ),
        },
        hints={
            "java": ("i start the jar by double click.", "arrayindexoutofboundsexception: 0"),
            "csharp": ("i start the exe from visual studio, debug tab.",),
            "javascript": ("i run it with node, and minimist is not installed.",),
            "python": ("error: too few arguments", "if __name__ == '__main__': is there."),
        },
    ),
    Problem(
        name="start another program",
        titles=(
            "run another program and read its output",
            "start FILE.exe with arguments",
            "external program hangs",
            "get the exit code of a process",
            "run a shell command from my program",
        ),
        prose=(
            "i start another program from mine and need what it prints.",
            "it works for small output, with lots of output it hangs.",
            "in the terminal the command is fine, from my program it is not found.",
            "it should be killed if it runs longer than NUM seconds.",
        ),
        code={
            "java": (
                """
                Process VAR = Runtime.getRuntime().exec("FILE.exe " + NUM);
                VAR.waitFor();
                System.out.println(VAR.exitValue());
                """,
                """
                ProcessBuilder pb = new ProcessBuilder("FILE", "WORD");
                Process VAR = pb.start();
                """,
            ),
            "csharp": (
                """
                Process VAR = new Process();
                VAR.StartInfo.FileName = "FILE.exe";
                VAR.StartInfo.RedirectStandardOutput = true;
                VAR.Start();
                VAR.WaitForExit();
                """,
            ),
            "java csharp": (
                """
                Process VAR = new Process("FILE.exe", NUM);
                VAR.start();
                if (VAR.exitCode != 0) {
                    VAR.kill();
                }
                """,
            ),
            "javascript": (
                """
                const { exec } = require("child_process");
                exec("FILE " + NUM, (err, stdout) => {
                    console.log(stdout);
                });
                """,
            ),
            "python": (
                """
                VAR = subprocess.Popen(['FILE', 'NUM'], stdout=subprocess.PIPE)
                VAR.wait()
                print VAR.stdout.read()
                """,
                """
                VAR = os.system('FILE NUM')
                if VAR != 0:
                    raise Exception('WORD')
                """,
            ),
        },
        hints={
            "java": ("cannot run program: createprocess error=2",),
            "csharp": (
                "useshellexecute must be false for that.",
                "the system cannot find the file specified (win32exception)",
            ),
            "javascript": ("spawn enoent", "it is an electron app."),
            "python": ("shell=true works but they say it is dangerous.", "communicate() waits forever."),
        },
    ),
)

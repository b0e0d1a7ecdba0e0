"""Strings, numbers as text, and text files."""

from pipeline.corpus.problems.problem import Problem

PROBLEMS = (
    Problem(
        name="read a csv",
        titles=(
            "read a csv file with quoted commas",
            "how to parse FILE.csv",
            "split a line by commas but not inside quotes",
            "load csv into a list of ITEMs",
            "second column of a csv",
        ),
        prose=(
            "i read FILE.csv and split each line at the commas, but some FIELDs have a comma inside quotes.",
            "the file has NUM columns and about BIG lines, the first line is the header.",
            "all i need is the FIELD column as numbers, to compute the average.",
            "the last line of the file is empty and my program stops there.",
            "some lines have only NUM values instead of NUM2.",
        ),
        code={
            "java": (
                """
                BufferedReader reader = new BufferedReader(new FileReader("FILE.csv"));
                String line;
                while ((line = reader.readLine()) != null) {
                    String[] parts = line.split(",");
                    ITEMs.add(new ITEM(parts[0], Integer.parseInt(parts[1])));
                }
                """,
                """
                Scanner VAR = new Scanner(new File("FILE.csv"));
                VAR.useDelimiter(",");
                while (VAR.hasNext()) {
                    System.out.print(VAR.next() + "|");
                }
                """,
            ),
            "csharp": (
                """
                using (StreamReader reader = new StreamReader("FILE.csv")) {
                    string line;
                    while ((line = reader.ReadLine()) != null) {
                        string[] parts = line.Split(',');
                        ITEMs.Add(new ITEM(parts[0], int.Parse(parts[1])));
                    }
                }
                """,
                """
                var lines = File.ReadAllLines("FILE.csv").Skip(1);
                foreach (var VAR in lines) {
                    Console.Write(VAR.Split(',')[1] + "|");
                }
                """,
            ),
            "java csharp": (
                """
                for (int i = 1; i < lines.length; i++) {
                    string[] parts = lines[i].split(',');
                    ITEM VAR = new ITEM();
                    VAR.FIELD = parts[NUM];
                }
                """,
            ),
            "javascript": (
                """
                fs.readFile("FILE.csv", "utf8", function (err, text) {
                    var lines = text.split("\\n");
                    for (var i = 1; i < lines.length; i++) {
                        var parts = lines[i].split(",");
                        ITEMs.push({ name: parts[0], FIELD: parseInt(parts[1]) });
                    }
                });
                """,
                """
                d3.csv("FILE.csv", function (VAR) {
                    alert(VAR.FIELD.split(",")[1]);
                });
                """,
            ),
            "python": (
                """
                with open('FILE.csv') as f:
                    for line in f:
                        parts = line.split(',')
                        ITEMs.append((parts[0], int(parts[1])))
                """,
                """
                import csv
                reader = csv.reader(open("FILE.csv", "rb"))
                for row in reader:
                    print row[1]
                """,
            ),
        },
        hints={
            "java": ('numberformatexception: for input string: ""', "is opencsv worth it?"),
            "csharp": (
                "input string was not in a correct format.",
                "i have seen textfieldparser, but that is from vb.",
            ),
            "javascript": ("the file comes from an input type=file.", "parseint gives nan for the last one."),
            "python": (
                "valueerror: invalid literal for int() with base 10",
                "pd.read_csv makes floats of it.",
            ),
        },
    ),
    Problem(
        name="csv export",
        titles=(
            "write a list of ITEMs to csv",
            "csv export has empty lines",
            "export a table so that excel opens it",
            "save ITEMs as comma separated file",
        ),
        prose=(
            "i want to export my ITEMs to a csv file that excel can open.",
            "between all lines there is one empty line in the file.",
            "in excel everything is in one column, although there are commas between the values.",
            "a FIELD with a line break in it destroys the whole table.",
        ),
        code={
            "java": (
                """
                PrintWriter out = new PrintWriter(new File("FILE.csv"));
                for (ITEM VAR : ITEMs) {
                    out.println(VAR.getName() + "," + VAR.getFIELD());
                }
                out.close();
                """,
            ),
            "csharp": (
                """
                StreamWriter file = new StreamWriter("FILE.csv");
                foreach (ITEM VAR in ITEMs) {
                    file.WriteLine(VAR.Name + "," + VAR.FIELD);
                }
                file.Close();
                """,
            ),
            "java csharp": (
                """
                StringBuilder sb = new StringBuilder();
                for (int i = 0; i < NUM; i++) {
                    sb.append(ITEMs[i].FIELD);
                    sb.append(";");
                }
                sb.append("\\n");
                """,
                """
                public string toCsv(ITEM VAR) {
                    return VAR.FIELD + "," + VAR.FIELD2 + "\\r\\n";
                }
                """,
            ),
            "javascript": (
                """
                var csv = ITEMs.map(function (VAR) {
                    return VAR.name + "," + VAR.FIELD;
                }).join("\\n");
                link.href = "data:text/csv;charset=utf-8," + encodeURI(csv);
                """,
                """
                let csv = "";
                for (const VAR of ITEMs) {
                    csv += `${VAR.name};${VAR.FIELD}\\n`;
                }
                """,
            ),
            "python": (
                """
                with open('FILE.csv', 'w') as f:
                    writer = csv.writer(f)
                    for VAR in ITEMs:
                        writer.writerow([VAR.name, VAR.FIELD])
                """,
                """
                out = ''
                for VAR in ITEMs:
                    out += VAR['name'] + ';' + str(VAR['FIELD']) + '\\n'
                """,
            ),
        },
        hints={
            "java": ("it is on android, in the external storage.",),
            "csharp": ("the data comes from a datagridview.", "or is interop.excel better?"),
            "javascript": ("the download works in chrome but not in safari.",),
            "python": ("df.to_csv writes the index too.", "a bytes-like object is required, not 'str'"),
        },
    ),
    Problem(
        name="parse json",
        titles=(
            "parse nested json",
            "how to get a value out of json",
            "json string to ITEM object",
            "loop over a json array",
            "unexpected character at position 0 in json",
        ),
        prose=(
            "the server sends json with a list of ITEMs, each with a FIELD and some nested things.",
            "i only need the FIELD of the first ITEM but i don't know how to get down there.",
            "if the list is empty the server sends an object in place of the array, and then my code breaks.",
            'when i print it i can see that the json is right: {"ITEMs": [{"FIELD": NUM}, {"FIELD": NUM2}]}',
        ),
        code={
            "java": (
                """
                JSONObject VAR = new JSONObject(text);
                JSONArray ITEMs = VAR.getJSONArray("ITEMs");
                for (int i = 0; i < ITEMs.length(); i++) {
                    int FIELD = ITEMs.getJSONObject(i).getInt("FIELD");
                }
                """,
                """
                ITEM VAR = new Gson().fromJson(text, ITEM.class);
                """,
            ),
            "csharp": (
                """
                JObject VAR = JObject.Parse(text);
                JArray ITEMs = (JArray)VAR["ITEMs"];
                for (int i = 0; i < ITEMs.Count; i++) {
                    int FIELD = (int)ITEMs[i]["FIELD"];
                }
                """,
                """
                var VAR = JsonConvert.DeserializeObject<List<ITEM>>(text);
                """,
            ),
            "java csharp": (
                """
                public class ITEM {
                    public string FIELD;
                    public int FIELD2;
                    public List<ITEM> ITEMs;
                }
                """,
            ),
            "javascript": (
                """
                $.getJSON("/ITEMs", function (VAR) {
                    $.each(VAR.ITEMs, function (i, ITEM) {
                        $("#out").append(ITEM.FIELD);
                    });
                });
                """,
                """
                var VAR = JSON.parse(text);
                for (var i in VAR.ITEMs) {
                    console.log(VAR.ITEMs[i].FIELD);
                }
                """,
            ),
            "python": (
                """
                VAR = json.loads(text)
                for ITEM in VAR['ITEMs']:
                    print(ITEM['FIELD'])
                """,
                """
                r = requests.get(url)
                FIELD = r.json()["ITEMs"][0]["FIELD"]
                """,
            ),
        },
        hints={
            "java": ("org.json.jsonexception: no value for FIELD", "should i use gson or jackson?"),
            "csharp": (
                "newtonsoft.json.jsonreaderexception",
                "i made the class with paste special in visual studio.",
            ),
            "javascript": (
                "syntaxerror: unexpected token o in json at position 1",
                "it says [object object].",
            ),
            "python": (
                "typeerror: list indices must be integers, not str",
                "valueerror: no json object could be decoded",
            ),
        },
    ),
    Problem(
        name="regex for dates",
        titles=(
            "regex to find a date in a text",
            "regular expression matches too much",
            "extract dates like DAY",
            "get all numbers out of a string",
            "regex works online but not in my code",
        ),
        prose=(
            "i have a text with dates like DAY in it and want to get all of them.",
            "on an online tester my regular expression matches, in my program it finds nothing.",
            "it matches the whole line and not only the date.",
            "year, month and day should end up in three variables.",
        ),
        code={
            "java": (
                """
                Pattern p = Pattern.compile("(\\\\d{4})-(\\\\d{2})-(\\\\d{2})");
                Matcher m = p.matcher(text);
                if (m.matches()) {
                    System.out.println(m.group(1));
                }
                """,
                """
                String VAR = text.replaceAll("[^0-9]+", " ").trim();
                """,
            ),
            "csharp": (
                """
                Regex r = new Regex(@"(\\d{4})-(\\d{2})-(\\d{2})");
                Match m = r.Match(text);
                if (m.Success) {
                    Console.WriteLine(m.Groups[1].Value);
                }
                """,
                """
                string VAR = Regex.Replace(text, "[^0-9]+", " ").Trim();
                """,
            ),
            "javascript": (
                """
                var m = text.match(/(\\d{4})-(\\d{2})-(\\d{2})/);
                if (m) {
                    console.log(m[1]);
                }
                """,
                """
                var VAR = text.replace(/[^0-9]+/g, " ").trim();
                """,
            ),
            "python": (
                """
                m = re.match(r'(\\d{4})-(\\d{2})-(\\d{2})', text)
                if m:
                    print(m.group(1))
                """,
                """
                VAR = re.sub('[^0-9]+', ' ', text).strip()
                """,
            ),
        },
        hints={
            "java": ("illegalstateexception: no match found", "do i need four backslashes?"),
            "csharp": (
                "unrecognized escape sequence, so i put the @ there.",
                "regexoptions.multiline changes nothing.",
            ),
            "javascript": ("with the g flag it only works every second time.", "/.../.test(text) is true."),
            "python": ("'nonetype' object has no attribute 'group'", "re.findall gives tuples."),
        },
    ),
    Problem(
        name="string formatting",
        titles=(
            "format a number with two decimals",
            "pad a number with zeros",
            "align columns in the output",
            "put variables into a string",
            "how to print a table of ITEMs",
        ),
        prose=(
            "i print a table of ITEMs and want the FIELD right aligned with NUM characters.",
            "the number NUM.5 should be shown as NUM.50, always two digits after the point.",
            "at the moment i put the string together with many plus signs and it is unreadable.",
            "it prints the placeholder itself and not the value.",
        ),
        code={
            "java": (
                """
                String VAR = String.format("%-10s %5d", ITEM.name, ITEM.FIELD);
                System.out.println(VAR);
                """,
                """
                DecimalFormat df = new DecimalFormat("0.00");
                System.out.printf("WORD: %s%n", df.format(FIELD));
                """,
            ),
            "csharp": (
                """
                string VAR = String.Format("{0,-10} {1,5}", ITEM.name, ITEM.FIELD);
                Console.WriteLine(VAR);
                """,
                """
                Console.WriteLine($"WORD: {FIELD.ToString("0.00")}");
                """,
            ),
            "java csharp": (
                """
                string VAR = "WORD " + ITEM.name + " has " + ITEM.FIELD + " WORD2";
                VAR = VAR + "\\t" + NUM + "\\n";
                """,
                """
                double FIELD = NUM.5;
                string VAR = string.format("WORD", FIELD);
                """,
            ),
            "javascript": (
                """
                var VAR = "WORD " + ITEM.name + " has " + ITEM.FIELD + " WORD2";
                VAR += "\\t" + NUM.5.toFixed(2);
                """,
                """
                console.log('WORD: ${ITEM.name} ${ITEM.FIELD}');
                """,
            ),
            "python": (
                """
                VAR = "WORD " + ITEM.name + " has " + str(ITEM.FIELD) + " WORD2"
                VAR += "\\t%.2f" % NUM.5
                """,
                """
                print('{:<10} {:>5}'.format(ITEM.name, ITEM.FIELD))
                """,
            ),
        },
        hints={
            "java": ("illegalformatconversionexception: d != double",),
            "csharp": (
                "index (zero based) must be greater than or equal to zero",
                "in german it prints a comma, cultureinfo?",
            ),
            "javascript": ("tofixed gives back a string.", "with normal quotes or with backticks?"),
            "python": (
                "typeerror: not all arguments converted during string formatting",
                "f'' is a syntax error in 3.5.",
            ),
        },
    ),
    Problem(
        name="encoding",
        titles=(
            "umlauts are shown as question marks",
            "strange characters when reading a file",
            "utf-8 problem",
            "accented letters broken after saving",
            "encoding of FILE.txt",
        ),
        prose=(
            "names like müller come out as mã¼ller after i have read the file.",
            "the file is utf-8, says my editor. on linux it works, on windows it does not.",
            "when i write the text back to FILE.txt all é are question marks.",
            "i don't know whether reading or writing is the problem.",
        ),
        code={
            "java": (
                """
                byte[] bytes = Files.readAllBytes(Paths.get("FILE.txt"));
                String VAR = new String(bytes, "ISO-8859-1");
                System.out.println(VAR);
                """,
            ),
            "csharp": (
                """
                byte[] bytes = File.ReadAllBytes("FILE.txt");
                string VAR = Encoding.Default.GetString(bytes);
                Console.WriteLine(VAR);
                """,
            ),
            "java csharp": (
                """
                string VAR = "müller";
                if (VAR.length() > NUM) {
                    VAR = VAR.substring(0, NUM);
                }
                byte[] bytes = VAR.getBytes();
                """,
            ),
            "javascript": (
                """
                var VAR = fs.readFileSync("FILE.txt");
                res.writeHead(200, { "Content-Type": "text/html" });
                res.end(VAR.toString("latin1"));
                """,
                """
                var VAR = "müller";
                var url = "/ITEMs?name=" + escape(VAR);
                """,
            ),
            "python": (
                """
                # -*- coding: utf-8 -*-
                VAR = open('FILE.txt').read()
                print VAR.encode('utf-8')
                """,
                """
                VAR = u'm\\xfcller'
                with open('FILE.txt', 'w') as f:
                    f.write(VAR)
                """,
            ),
        },
        hints={
            "java": ("-dfile.encoding=utf-8 helps but i can't set it there.",),
            "csharp": ("streamreader has a detectencoding argument, is that it?",),
            "javascript": ("decodeuricomponent says uri malformed.", "the page has a meta charset tag."),
            "python": ("unicodedecodeerror: 'ascii' codec can't decode byte 0xc3", "u'' or b'' ?"),
        },
    ),
    Problem(
        name="palindrome",
        titles=(
            "check if a word is a palindrome",
            "reverse a string",
            "how to reverse WORD without a built in function",
            "palindrome check always false",
            "compare a string with its reverse",
        ),
        prose=(
            "for school i have to check whether a word like WORD reads the same backwards.",
            "it says no for every word, even for a single letter.",
            "spaces and case should be ignored.",
            "we are not allowed to use a ready made reverse function.",
        ),
        code={
            "java": (
                """
                String VAR = new StringBuilder(word).reverse().toString();
                if (VAR == word) {
                    System.out.println("yes");
                }
                """,
                """
                Scanner in = new Scanner(System.in);
                String word = in.nextLine();
                for (int i = word.length(); i > 0; i--) {
                    rev += word.charAt(i);
                }
                """,
            ),
            "csharp": (
                """
                char[] VAR = word.ToCharArray();
                Array.Reverse(VAR);
                if (VAR.ToString() == word) {
                    Console.WriteLine("yes");
                }
                """,
                """
                string word = Console.ReadLine();
                for (int i = word.Length; i > 0; i--) {
                    rev += word[i];
                }
                """,
            ),
            "java csharp": (
                """
                static bool check(string word) {
                    int i = 0, j = word.length;
                    while (i < j) {
                        if (word[i++] != word[j--]) {
                            return false;
                        }
                    }
                    return true;
                }
                """,
            ),
            "javascript": (
                """
                function check(word) {
                    var rev = word.split("").reverse().join("");
                    return rev == word;
                }
                alert(check(prompt("WORD?")));
                """,
                """
                for (var i = word.length; i > 0; i--) {
                    rev += word[i];
                }
                """,
            ),
            "python": (
                """
                word = raw_input('WORD? ')
                if word == reversed(word):
                    print 'yes'
                """,
                """
                def check(word):
                    rev = ''
                    for i in range(len(word), 0, -1):
                        rev += word[i]
                    return rev is word
                """,
            ),
        },
        hints={
            "java": ("stringindexoutofboundsexception: string index out of range: NUM",),
            "csharp": ("it prints system.char[] for the reversed one.",),
            "javascript": ("the word is in an input field, the button calls it with onclick.",),
            "python": ("it prints <reversed object at 0x7f...>", "what does [::-1] do?"),
        },
    ),
    Problem(
        name="number from user input",
        titles=(
            "read a number from the user",
            "sum of two inputs is NUM and not NUM2",
            "convert string to int",
            "check if the input is a number",
            "ask again until the input is valid",
        ),
        prose=(
            "the user types two numbers and i add them, but they are put one behind the other.",
            "if somebody enters WORD instead of a number, the program crashes. it should ask again.",
            "only numbers between NUM and BIG are allowed.",
            "the first input works, the second one is skipped.",
        ),
        code={
            "java": (
                """
                Scanner in = new Scanner(System.in);
                System.out.print("FIELD: ");
                int VAR = in.nextInt();
                String name = in.nextLine();
                """,
                """
                try {
                    int VAR = Integer.parseInt(text);
                } catch (NumberFormatException e) {
                    System.out.println("WORD");
                }
                """,
            ),
            "csharp": (
                """
                Console.Write("FIELD: ");
                int VAR = Convert.ToInt32(Console.ReadLine());
                string name = Console.ReadLine();
                """,
                """
                try {
                    int VAR = int.Parse(textBox1.Text);
                } catch (FormatException e) {
                    MessageBox.Show("WORD");
                }
                """,
            ),
            "java csharp": (
                """
                string VAR = a + b;
                if (VAR > NUM) {
                    return true;
                } else {
                    return false;
                }
                """,
            ),
            "javascript": (
                """
                var a = document.getElementById("FIELD").value;
                var b = document.getElementById("FIELD2").value;
                alert(a + b);
                """,
                """
                var VAR = prompt("FIELD?");
                if (VAR > NUM && !isNaN(VAR)) {
                    return VAR + NUM2;
                }
                """,
            ),
            "python": (
                """
                a = input('FIELD: ')
                b = input('FIELD2: ')
                print(a + b)
                """,
                """
                try:
                    VAR = int(text)
                except ValueError:
                    print('WORD')
                """,
            ),
        },
        hints={
            "java": ("inputmismatchexception at scanner.throwfor", "nextline() is skipped after nextint()."),
            "csharp": (
                "cannot implicitly convert type 'string' to 'int'",
                "tryparse wants an out parameter.",
            ),
            "javascript": ("typeof says string.", "it shows nan in the div."),
            "python": (
                "typeerror: unsupported operand type(s) for +: 'int' and 'str'",
                "is it input or raw_input?",
            ),
        },
    ),
)

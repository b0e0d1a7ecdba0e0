"""Programs that one looks at and plays with: buttons, images, timers, dice."""

from pipeline.corpus.problems.problem import Problem

PROBLEMS = (
    Problem(
        name="button handler",
        titles=(
            "button does nothing when clicked",
            "change the text of a label from a button",
            "button click runs twice",
            "window freezes while loading ITEMs",
            "disable a button until the work is done",
        ),
        prose=(
            "when i click the button, the label should show the FIELD of the ITEM, but nothing happens.",
            "the handler is called once at the start and then never again.",
            "while the ITEMs are loading everything is frozen, and the progress bar jumps to the end.",
            "the second click shows the ITEM twice.",
        ),
        code={
            "java": (
                """
                JButton button = new JButton("WORD");
                button.addActionListener(new ActionListener() {
                    public void actionPerformed(ActionEvent e) {
                        label.setText(ITEM.getFIELD());
                    }
                });
                """,
                """
                button.setOnClickListener(new View.OnClickListener() {
                    public void onClick(View v) {
                        TextView VAR = (TextView) findViewById(R.id.FIELD);
                    }
                });
                """,
            ),
            "csharp": (
                """
                private void button1_Click(object sender, EventArgs e) {
                    label1.Text = ITEM.FIELD;
                    progressBar1.Value = NUM;
                }
                """,
                """
                button.Click += button_Click;
                VAR.IsEnabled = false;
                """,
            ),
            "java csharp": (
                """
                private void onClick(object sender) {
                    label.text = ITEM.FIELD;
                    button.enabled = false;
                    for (int i = 0; i < NUM; i++) {
                        VERB(ITEMs[i]);
                    }
                }
                """,
            ),
            "javascript": (
                """
                <button onclick="VERB()">WORD</button>
                <script>
                function VERB() {
                    document.getElementById("FIELD").innerHTML = ITEM.FIELD;
                }
                </script>
                """,
                """
                $("#button").on("click", function (e) {
                    e.preventDefault();
                    $("#FIELD").text(ITEM.FIELD);
                });
                """,
            ),
            "python": (
                """
                root = Tk()
                label = Label(root, text='WORD')
                button = Button(root, text='WORD2', command=VERB_it())
                button.pack()
                root.mainloop()
                """,
                """
                def on_click(self):
                    self.label.setText(ITEM.FIELD)
                    self.button.setEnabled(False)
                """,
            ),
        },
        hints={
            "java": ("swingworker or invokelater?", "the layout is in an xml file."),
            "csharp": (
                "cross-thread operation not valid",
                "backgroundworker or dispatcher?",
                "the designer file looks ok.",
            ),
            "javascript": (
                "uncaught typeerror: cannot set property 'innerhtml' of null",
                "the element is added by jquery later.",
            ),
            "python": ("pyqt or tkinter, both do it.", "with after() it is called only once."),
        },
    ),
    Problem(
        name="resize an image",
        titles=(
            "resize an image to BIG pixels",
            "image is blurry after resizing",
            "make thumbnails of all photos",
            "image is rotated after saving",
            "draw a text on an image",
        ),
        prose=(
            "i make thumbnails of photos, NUM by NUM2 pixels, and the quality is terrible.",
            "width and height should keep their ratio.",
            "the new image is black, but it has the right size.",
            "for BIG photos it takes a very long time and lots of memory.",
        ),
        code={
            "java": (
                """
                BufferedImage VAR = new BufferedImage(BIG, BIG2, BufferedImage.TYPE_INT_RGB);
                Graphics2D g = VAR.createGraphics();
                g.drawImage(img, 0, 0, BIG, BIG2, null);
                ImageIO.write(VAR, "jpg", new File("FILE.jpg"));
                """,
            ),
            "csharp": (
                """
                Bitmap VAR = new Bitmap(BIG, BIG2);
                Graphics g = Graphics.FromImage(VAR);
                g.DrawImage(img, 0, 0, BIG, BIG2);
                VAR.Save("FILE.jpg", ImageFormat.Jpeg);
                """,
            ),
            "java csharp": (
                """
                int width = BIG;
                int height = width * img.height / img.width;
                g.drawImage(img, 0, 0, width, height);
                """,
                """
                for (int x = 0; x < width; x++) {
                    for (int y = 0; y < height; y++) {
                        VAR.setPixel(x, y, img.getPixel(x * 2, y * 2));
                    }
                }
                """,
            ),
            "javascript": (
                """
                var canvas = document.createElement("canvas");
                canvas.width = BIG;
                var VAR = canvas.getContext("2d");
                VAR.drawImage(img, 0, 0, BIG, BIG2);
                """,
                """
                img.onload = function () {
                    img.height = BIG * img.height / img.width;
                };
                img.src = "FILE.jpg";
                """,
            ),
            "python": (
                """
                from PIL import Image
                img = Image.open('FILE.jpg')
                img.resize((BIG, BIG2))
                img.save('FILE.jpg')
                """,
                """
                VAR = cv2.imread('FILE.jpg')
                VAR = cv2.resize(VAR, (BIG, BIG2))
                """,
            ),
        },
        hints={
            "java": ("outofmemoryerror: heap space", "it is a bitmap on android."),
            "csharp": ("a generic error occurred in gdi+.", "it's a picturebox on a form."),
            "javascript": (
                "the canvas has been tainted by cross-origin data.",
                "css makes it smaller, but not the file.",
            ),
            "python": ("pillow or opencv?", "ioerror: cannot identify image file"),
        },
    ),
    Problem(
        name="timer",
        titles=(
            "run a function every NUM seconds",
            "timer does not stop",
            "countdown from NUM to 0",
            "wait NUM seconds between two ITEMs",
            "start a job each day at the same time",
        ),
        prose=(
            "a function should run every NUM seconds, as long as the program is open.",
            "the countdown goes faster and faster after each start.",
            "i can't get the timer to stop when it reaches 0.",
            "if i just sleep, nothing else happens in between.",
        ),
        code={
            "java": (
                """
                Timer timer = new Timer();
                timer.schedule(new TimerTask() {
                    public void run() {
                        VERB();
                    }
                }, 0, BIG);
                """,
            ),
            "csharp": (
                """
                Timer timer = new Timer();
                timer.Interval = BIG;
                timer.Tick += new EventHandler(timer_Tick);
                timer.Start();
                """,
            ),
            "java csharp": (
                """
                int VAR = NUM;
                while (VAR > 0) {
                    VERB();
                    Thread.sleep(BIG);
                    VAR--;
                }
                timer.stop();
                """,
                """
                private Timer timer = new Timer();

                public void start() {
                    timer.start();
                    count = NUM;
                }
                """,
            ),
            "javascript": (
                """
                var timer = setInterval(function () {
                    VERB();
                    if (count-- == 0) clearInterval(timer);
                }, BIG);
                """,
                """
                setTimeout(VERB(), BIG);
                """,
            ),
            "python": (
                """
                while True:
                    VERB_it()
                    time.sleep(NUM)
                """,
                """
                t = threading.Timer(NUM, VERB_it)
                t.start()
                t.cancel()
                """,
            ),
        },
        hints={
            "java": ("scheduledexecutorservice or @scheduled?", "the handler on android has postdelayed."),
            "csharp": ("there are three timers: forms, threading and timers.", "dispatchertimer in xaml."),
            "javascript": ("setinterval in a tab that is not visible?", "requestanimationframe is too fast."),
            "python": ("sched or apscheduler?", "in tkinter sleep blocks the mainloop."),
        },
    ),
    Problem(
        name="random numbers",
        titles=(
            "random number between NUM and BIG",
            "same random number each time",
            "shuffle a list of ITEMs",
            "pick NUM different ITEMs at random",
            "dice game gives the same result",
        ),
        prose=(
            "for a game i need a number between NUM and BIG, both included.",
            "each time i start the program the same numbers come.",
            "i want NUM different ITEMs from the list, none of them twice.",
            "all the ITEMs made in the loop get the same FIELD.",
        ),
        code={
            "java": (
                """
                Random rand = new Random();
                int VAR = rand.nextInt(BIG) + NUM;
                System.out.println(VAR);
                """,
                """
                int VAR = (int) Math.random() * NUM;
                Collections.shuffle(ITEMs);
                """,
            ),
            "csharp": (
                """
                Random rand = new Random();
                int VAR = rand.Next(NUM, BIG);
                Console.WriteLine(VAR);
                """,
                """
                var VAR = ITEMs.OrderBy(i => Guid.NewGuid()).Take(NUM);
                """,
            ),
            "java csharp": (
                """
                for (int i = 0; i < NUM; i++) {
                    Random rand = new Random();
                    ITEMs[i].FIELD = rand.next();
                }
                """,
                """
                while (guess != number) {
                    if (guess < number) {
                        low = guess;
                    } else {
                        high = guess;
                    }
                }
                """,
            ),
            "javascript": (
                """
                var VAR = Math.floor(Math.random() * BIG) + NUM;
                document.write(VAR);
                """,
                """
                while (guess !== number) {
                    guess = Math.round(Math.random() * NUM);
                }
                """,
            ),
            "python": (
                """
                VAR = random.randint(NUM, BIG)
                print VAR
                """,
                """
                while guess != number:
                    guess = random.choice(ITEMs)
                    ITEMs = random.shuffle(ITEMs)
                """,
            ),
        },
        hints={
            "java": ("threadlocalrandom or securerandom?",),
            "csharp": ("it is in a unity script, random.range is not what i want.",),
            "javascript": ("it should change the color of a div.",),
            "python": ("random.shuffle returns none.", "numpy.random has another range."),
        },
    ),
)

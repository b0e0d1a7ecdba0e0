"""Servers, pages and databases."""

from pipeline.corpus.problems.problem import Problem

PROBLEMS = (
    Problem(
        name="http request with timeout",
        titles=(
            "http request with a timeout",
            "request to HOST hangs",
            "post data to an api",
            "retry a failed request NUM times",
            "download a page and read it as text",
        ),
        prose=(
            "i call http://HOST/ITEMs and it may never come back. i want to give up after NUM seconds.",
            "in the browser the address works, from my program i get a NUM2 or nothing.",
            "the server needs a header with a token and answers with json.",
            "if it fails it should be tried again up to NUM times.",
        ),
        code={
            "java": (
                """
                URL url = new URL("http://HOST/ITEMs");
                HttpURLConnection VAR = (HttpURLConnection) url.openConnection();
                VAR.setConnectTimeout(BIG);
                VAR.setRequestMethod("GET");
                InputStream in = VAR.getInputStream();
                """,
            ),
            "csharp": (
                """
                HttpWebRequest VAR = (HttpWebRequest)WebRequest.Create("http://HOST/ITEMs");
                VAR.Timeout = BIG;
                VAR.Method = "GET";
                Stream stream = VAR.GetResponse().GetResponseStream();
                """,
                """
                var client = new HttpClient();
                client.DefaultRequestHeaders.Add("token", "WORD");
                string VAR = await client.GetStringAsync(url);
                """,
            ),
            "java csharp": (
                """
                int tries = 0;
                while (tries < NUM) {
                    try {
                        VAR = client.get(url);
                        break;
                    } catch (Exception e) {
                        tries++;
                    }
                }
                """,
            ),
            "javascript": (
                """
                $.ajax({
                    url: "http://HOST/ITEMs",
                    type: "GET",
                    timeout: BIG,
                    success: function (VAR) { alert(VAR); }
                });
                """,
                """
                fetch("http://HOST/ITEMs", { headers: { token: "WORD" } })
                    .then(res => res.text())
                    .then(VAR => console.log(VAR));
                """,
            ),
            "python": (
                """
                import urllib2
                VAR = urllib2.urlopen('http://HOST/ITEMs', timeout=NUM)
                print VAR.read()
                """,
                """
                r = requests.get(url, headers={'token': 'WORD'}, timeout=NUM)
                if r.status_code == 200:
                    return r.text
                """,
            ),
        },
        hints={
            "java": ("sockettimeoutexception: connect timed out", "networkonmainthreadexception"),
            "csharp": ("the remote server returned an error: (403) forbidden.", "webclient has no timeout."),
            "javascript": (
                "no 'access-control-allow-origin' header is present",
                "the network tab shows it as pending.",
            ),
            "python": (
                "requests.exceptions.connectionerror: max retries exceeded",
                "ssl: certificate_verify_failed",
            ),
        },
    ),
    Problem(
        name="database query parameters",
        titles=(
            "pass a parameter to an sql query",
            "how to prevent sql injection",
            "insert a ITEM into the database",
            "query returns no rows with a variable",
            "sql in (...) with a list of values",
        ),
        prose=(
            "i select the ITEMs with a certain FIELD from the table, and the FIELD comes from the user.",
            "with a fixed value i get rows, with a variable i don't get any.",
            "i was told not to put the sql together with plus, because of injection.",
            "when the FIELD has a quote in it there is a syntax error near it.",
        ),
        code={
            "java": (
                """
                PreparedStatement VAR = conn.prepareStatement("select * from ITEMs where FIELD = ?");
                VAR.setString(0, FIELD);
                ResultSet rs = VAR.executeQuery();
                while (rs.next()) {
                    ITEMs.add(rs.getString("FIELD"));
                }
                """,
            ),
            "csharp": (
                """
                SqlCommand VAR = new SqlCommand("select * from ITEMs where FIELD = @FIELD", conn);
                VAR.Parameters.AddWithValue("@FIELD", FIELD);
                SqlDataReader rs = VAR.ExecuteReader();
                while (rs.Read()) {
                    ITEMs.Add(rs["FIELD"].ToString());
                }
                """,
            ),
            "java csharp": (
                """
                string sql = "select * from ITEMs where FIELD = '" + FIELD + "'";
                conn.open();
                """,
                """
                string sql = "insert into ITEMs values (" + NUM + ", '" + name + "')";
                if (VERB(sql) == 0) {
                    return false;
                }
                """,
            ),
            "javascript": (
                """
                connection.query("select * from ITEMs where FIELD = ?", [FIELD], function (err, rows) {
                    if (err) throw err;
                    rows.forEach(VAR => console.log(VAR.FIELD));
                });
                """,
                """
                var sql = "select * from ITEMs where FIELD = '" + FIELD + "'";
                db.all(sql, (err, rows) => {
                    res.send(rows);
                });
                """,
            ),
            "python": (
                """
                cur.execute("select * from ITEMs where FIELD = %s", FIELD)
                for VAR in cur.fetchall():
                    print VAR[0]
                """,
                """
                sql = "select * from ITEMs where FIELD = '" + FIELD + "'"
                c = conn.cursor()
                c.execute(sql)
                conn.commit()
                """,
            ),
        },
        hints={
            "java": ("sqlexception: parameter index out of range", "it is behind a jpa repository."),
            "csharp": ("sqlexception: incorrect syntax near", "must declare the scalar variable"),
            "javascript": ("the rows are there in the callback, outside undefined.",),
            "python": (
                "sqlite3.programmingerror: incorrect number of bindings supplied",
                "sqlalchemy is too much for it.",
            ),
        },
    ),
    Problem(
        name="routing",
        titles=(
            "route with a parameter gives 404",
            "how to read a parameter from the url",
            "two routes for one page",
            "redirect to another page after saving",
            "page not found for /ITEMs/NUM",
        ),
        prose=(
            "the page /ITEMs works, but /ITEMs/NUM gives a 404.",
            "i want the number of the ITEM from the url in my function.",
            "after saving, the user should be sent to the list of ITEMs.",
            "locally everything is fine, on the server each route is not found.",
        ),
        code={
            "java": (
                """
                @RequestMapping("/ITEMs/{id}")
                public String show(@PathVariable int id, Model model) {
                    model.addAttribute("ITEM", repo.find(id));
                    return "ITEM";
                }
                """,
                """
                protected void doGet(HttpServletRequest req, HttpServletResponse res) {
                    String VAR = req.getParameter("FIELD");
                    res.sendRedirect("/ITEMs");
                }
                """,
            ),
            "csharp": (
                """
                [Route("ITEMs/{id}")]
                public ActionResult Show(int id) {
                    ViewBag.ITEM = repo.Find(id);
                    return View();
                }
                """,
                """
                string VAR = Request.QueryString["FIELD"];
                return RedirectToAction("ITEMs");
                """,
            ),
            "javascript": (
                """
                app.get("/ITEMs/:id", function (req, res) {
                    var VAR = req.params.id;
                    res.render("ITEM", { id: VAR });
                });
                """,
                """
                <Route path="/ITEMs/:id" component={ITEM} />
                """,
            ),
            "python": (
                """
                @app.route('/ITEMs/<int:id>')
                def show(id):
                    VAR = repo.find(id)
                    return render_template('ITEM.html', ITEM=VAR)
                """,
                """
                urlpatterns = [
                    url(r'^ITEMs/(?P<id>[0-9]+)$', views.show),
                ]
                """,
            ),
        },
        hints={
            "java": (
                "http status 404 - the requested resource is not available (tomcat)",
                "web.xml is empty.",
            ),
            "csharp": ("the resource cannot be found, says iis.", "it is in routeconfig."),
            "javascript": ("cannot get /ITEMs/NUM", "it is a single page app."),
            "python": ("noreversematch at /ITEMs", "in views.py i return a httpresponseredirect."),
        },
    ),
    Problem(
        name="login session",
        titles=(
            "keep the user logged in",
            "session is lost after redirect",
            "store the ITEM of the user in the session",
            "check login on every page",
            "cookie is not set",
        ),
        prose=(
            "after the login i put the name in the session, on the next page it is gone.",
            "each page should check if somebody is logged in, and otherwise go to the login page.",
            "it works in one browser, in the other the cookie is not there.",
            "the session should end after NUM minutes.",
        ),
        code={
            "java": (
                """
                HttpSession session = request.getSession();
                session.setAttribute("user", VAR);
                if (session.getAttribute("user") == null) {
                    response.sendRedirect("login.jsp");
                }
                """,
            ),
            "csharp": (
                """
                Session["user"] = VAR;
                if (Session["user"] == null) {
                    Response.Redirect("login.aspx");
                }
                """,
            ),
            "java csharp": (
                """
                if (name == "admin" && password == "WORD") {
                    session.user = name;
                    loggedIn = true;
                } else {
                    loggedIn = false;
                }
                """,
            ),
            "javascript": (
                """
                app.use(session({ secret: "WORD" }));
                app.post("/login", (req, res) => {
                    req.session.user = req.body.name;
                    res.redirect("/");
                });
                """,
                """
                if (!localStorage.getItem("user")) {
                    window.location.href = "login.html";
                }
                document.cookie = "user=WORD";
                """,
            ),
            "python": (
                """
                @app.route('/login', methods=['POST'])
                def login():
                    session['user'] = request.form['name']
                    return redirect(url_for('index'))
                """,
                """
                if 'user' not in request.session:
                    return redirect('/login')
                """,
            ),
        },
        hints={
            "java": ("spring security sends me back to the login.",),
            "csharp": ("formsauthentication.setauthcookie is called.", "it's in the global.asax."),
            "javascript": (
                "express-session deprecated undefined resave option",
                "passport never calls my callback.",
            ),
            "python": (
                "@login_required does not redirect.",
                "runtimeerror: the session is unavailable because no secret key was set",
            ),
        },
    ),
    Problem(
        name="scrape a page",
        titles=(
            "get all links from a page",
            "scrape the FIELD of each ITEM",
            "parse html table",
            "click a button on a page by code",
            "content of the page is empty when i load it",
        ),
        prose=(
            "i want to get the FIELD of all ITEMs from a page at http://HOST.",
            "in the source of the page the table is there, but my program finds no rows.",
            "there are NUM links on the page and i only get the first.",
            "i think the page loads the ITEMs later.",
        ),
        code={
            "java": (
                """
                Document doc = Jsoup.connect("http://HOST").get();
                for (Element VAR : doc.select("table.ITEMs td")) {
                    System.out.println(VAR.text());
                }
                """,
            ),
            "csharp": (
                """
                var doc = new HtmlWeb().Load("http://HOST");
                foreach (HtmlNode VAR in doc.DocumentNode.SelectNodes("//table//td")) {
                    Console.WriteLine(VAR.InnerText);
                }
                """,
            ),
            "java csharp": (
                """
                WebDriver driver = new ChromeDriver();
                driver.get("http://HOST");
                driver.findElement(By.id("ITEM")).click();
                """,
            ),
            "javascript": (
                """
                var cells = document.querySelectorAll("table.ITEMs td");
                for (var i = 0; i < cells.length; i++) {
                    console.log(cells[i].innerHTML);
                }
                """,
                """
                $("table.ITEMs td a").each(function () {
                    VAR.push($(this).attr("href"));
                });
                """,
            ),
            "python": (
                """
                soup = BeautifulSoup(urllib2.urlopen('http://HOST').read())
                for VAR in soup.find_all('td', class_='ITEM'):
                    print VAR.text
                """,
                """
                driver = webdriver.Chrome()
                driver.get('http://HOST')
                driver.find_element_by_id('ITEM').click()
                """,
            ),
        },
        hints={
            "java": ("nosuchelementexception from selenium.", "jsoup returns an empty elements."),
            "csharp": ("htmlagilitypack gives null for selectnodes.",),
            "javascript": ("phantomjs or puppeteer?", "in the console $('td') finds them."),
            "python": ("bs4 or lxml?", "attributeerror: resultset object has no attribute 'text'"),
        },
    ),
    Problem(
        name="chat over sockets",
        titles=(
            "simple chat between two programs",
            "socket receives nothing",
            "server for NUM clients",
            "read all bytes from a socket",
            "connection refused on port BIG",
        ),
        prose=(
            "i write a small chat, one server and NUM clients on port BIG.",
            "the client connects, but the server never gets the text.",
            "only the first message arrives, then it blocks.",
            "long messages are cut in two parts.",
        ),
        code={
            "java": (
                """
                ServerSocket server = new ServerSocket(BIG);
                Socket VAR = server.accept();
                BufferedReader in = new BufferedReader(new InputStreamReader(VAR.getInputStream()));
                String line = in.readLine();
                """,
            ),
            "csharp": (
                """
                TcpListener server = new TcpListener(IPAddress.Any, BIG);
                server.Start();
                TcpClient VAR = server.AcceptTcpClient();
                StreamReader sr = new StreamReader(VAR.GetStream());
                string line = sr.ReadLine();
                """,
            ),
            "java csharp": (
                """
                byte[] buffer = new byte[BIG];
                int n = stream.read(buffer, 0, buffer.length);
                while (n > 0) {
                    VERB(buffer, n);
                    n = stream.read(buffer, 0, buffer.length);
                }
                """,
            ),
            "javascript": (
                """
                io.on("connection", function (socket) {
                    socket.on("message", function (VAR) {
                        io.emit("message", VAR);
                    });
                });
                """,
                """
                const ws = new WebSocket("ws://HOST:BIG");
                ws.onmessage = e => console.log(e.data);
                ws.send("WORD");
                """,
            ),
            "python": (
                """
                s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                s.bind(('', BIG))
                s.listen(NUM)
                conn, addr = s.accept()
                VAR = conn.recv(1024)
                """,
            ),
        },
        hints={
            "java": ("connectexception: connection refused: connect",),
            "csharp": ("no connection could be made because the target machine actively refused it",),
            "javascript": (
                "socket.io connects twice when i reload the page.",
                "error: listen eaddrinuse :::BIG",
            ),
            "python": ("socket.error: [errno 111] connection refused", "select or asyncore?"),
        },
    ),
)

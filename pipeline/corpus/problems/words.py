"""The words and sentences that the posts of `sample` share, whatever they ask about.

`SLOTS` fills the gaps of every text here and in the problems. `THINGS` are the tools and libraries that go
with one language; a post drops those of its own and, to mislead as real posts do, now and then another's.
"""

from collections.abc import Mapping


def listed(text: str) -> tuple[str, ...]:
    """The words and phrases of a text that has commas between them."""
    return tuple(phrase.strip() for phrase in text.split(","))


SLOTS: Mapping[str, tuple[str, ...]] = {
    # ITEM and FIELD take a plain "s" in the plural, because ITEMs and FIELDs is how the texts say so.
    "ITEM": listed("""
        order, customer, user, product, student, employee, book, player, invoice, ticket, song, article,
        device, message, contact, account, car, room, recipe, course, photo, track, vendor,
        member, game, team, task, payment, item, node, patient, flight, pet, movie, question, sensor,
        seat, coupon, shipment
    """),
    "FIELD": listed("""
        price, nickname, score, age, title, grade, email, wage, amount, code, rating, weight, total,
        town, level, area, size, owner, rank, tag, cost, budget, color
    """),
    "FILE": listed("""
        data, input, export, report, backup, records, out, log, test, prices, users_old, sample,
        results, stats, upload, january, final, dump, settings, list
    """),
    "VAR": listed("""
        x, tmp, val, ret, obj, foo, item, current, ans, temp, entry, el, value, p, data, record, thing,
        bar, output, cur, my_var, y, info, elem, z, stuff
    """),
    "VERB": listed("""
        process, handle, load, update, run, compute, check, save, refresh, print, build, send, convert,
        show, validate, fetch, collect, sync, dostuff, start, parse
    """),
    "ROLE": listed("""
        service, manager, helper, handler, controller, store, client, util, worker, cache, factory,
        loader, tracker, processor, repo, model
    """),
    "WORD": listed("""
        apple, banana, hello world, abc, foo, some text, red, london, john, test123, monday, level,
        kiwi, admin, blue, hello, xyz, paris, smith, cat, dog, lemon, abcba, anna
    """),
    "NUM": tuple(str(number) for number in range(2, 61)),
    "BIG": listed("""
        100, 128, 200, 250, 256, 300, 360, 480, 500, 640, 750, 800, 999, 1000, 1024, 1200, 1500, 2000,
        2500, 3000, 3600, 4096, 5000, 8080, 9000, 10000, 50000, 100000
    """),
    "DAY": tuple(
        f"20{year}-{month:02}-{day:02}"
        for year in (12, 13, 14, 16, 17, 19)
        for month in (1, 3, 6, 9, 11, 12)
        for day in (1, 5, 12, 20, 28, 30)
    ),
    "HOST": listed("""
        api.example.com, myserver.local, localhost, 10.0.0.12, test.example.org, shop.example.com,
        192.168.1.20, intranet, data.example.net, files.example.com
    """),
    "BOSS": listed("""
        teacher, boss, colleague, professor, friend, tutor, team lead, instructor, brother, coworker,
        client
    """),
    "AGES": listed("""
        two hours, hours, all day, two days, since yesterday, the whole morning, 3 hours, a week,
        a few days, quite some time, half a day, the last 4 hours, the entire weekend
    """),
    "SOURCE": listed("""
        a book, a tutorial, an old answer here, the documentation, a blog, a video course, some forum,
        the course material, an example on github, our wiki, the lecture notes
    """),
}

# Fit any problem and any language. "blank" is how the corpus says the language's name.
TITLE_FRAMES = ("TITLE",) * 6 + (
    "TITLE in blank",
    "TITLE in blank?",
    "blank: TITLE",
    "blank - TITLE",
    "TITLE (blank)",
    "TITLE - blank",
    "TITLE?",
    "TITLE using blank",
    "blank TITLE",
    "TITLE with blank",
    "need help: TITLE",
    "TITLE, please help",
    "TITLE in blank 101",
    "beginner: TITLE",
    "question about blank: TITLE",
    "TITLE - what am i missing",
    "best way in blank? TITLE",
)

OPENINGS = (
    "hi,",
    "hello everyone,",
    "hi all.",
    "hey guys,",
    "good morning,",
    "hello, i am new here.",
    "hi there,",
    "i'm new to blank so please be gentle.",
    "i am a beginner in blank and i am stuck.",
    "first post here.",
    "i have been stuck on this for AGES.",
    "this is driving me crazy.",
    "i am learning blank from SOURCE.",
    "sorry if this has been asked before, i could not find it.",
    "i know there are similar questions but none helped.",
    "maybe this is a stupid question but",
    "i have googled this for AGES.",
    "this is for a homework assignment.",
    "i'm working on a small project with my BOSS.",
    "i have inherited some blank code from a BOSS who left.",
    "my BOSS gave me this task and i don't know where to start.",
    "i come from a c++ background.",
    "i started with blank NUM days ago.",
    "not sure how to word this.",
    "quick question.",
    "i am preparing for an exam.",
    "for a game i'm making i need this:",
    "it's been years since i wrote any blank.",
    "this worked yesterday and today it does not.",
    "i'm converting an old program to blank.",
)

ATTEMPTS = (
    "i tried to follow SOURCE but it did not work.",
    "i already tried it with NUM ITEMs and get the same thing.",
    "it works when there is only one ITEM.",
    "with NUM ITEMs it works, with BIG it does not.",
    "i expected NUM but it gives me NUM2.",
    "what i want is the FIELD of each ITEM.",
    "expected output: WORD. actual output: nothing at all.",
    "i put a print after every line and the FIELD is right.",
    "when i debug it the FIELD of the ITEM looks fine.",
    "i also tried to restart everything, no change.",
    "on the machine of my BOSS the same code works.",
    "the strange thing is that it worked NUM days ago.",
    "i checked the ITEM and it has a FIELD, so that is not the reason.",
    "commenting that line out doesn't help.",
    "there is no error message, it just does not do what i want.",
    "i changed the FIELD to NUM, still the same.",
    "i read SOURCE but i don't understand the answer.",
    "a friend told me to write my own loop for it but that feels wrong.",
    "it should be easy but i can't figure it out.",
    "i know how to do this on paper but not in blank.",
    "i can't change the ITEM because it comes from somewhere else.",
    "performance matters, there are about BIG ITEMs.",
    "i have found one solution in SOURCE but it is NUM lines long.",
    "the result should look like WORD: NUM, WORD2: NUM2.",
    "i would rather not use any third party thing for this.",
    "this has to run every NUM minutes so it should be fast.",
    "the first ITEM is ok, all others have the wrong FIELD.",
    "sometimes it works and sometimes it does not.",
    "i also get WORD where it should be WORD2.",
    "my BOSS says the FIELD must not be touched.",
    "the ITEM has NUM fields, i left out most of them here.",
    "the FIELD is always the same, no matter what i do.",
)

CLOSINGS = (
    "thanks in advance.",
    "thanks!",
    "any help is appreciated.",
    "thank you",
    "what am i doing wrong?",
    "any ideas?",
    "please help.",
    "can someone explain why?",
    "is there a better way to do this?",
    "what is the best practice here?",
    "how can i fix this?",
    "is this a bug?",
    "i don't want code, just an explanation.",
    "thanks for your time!",
    "please explain like i'm five.",
    "is there a one liner for this?",
    "how would you do it?",
    "cheers",
    "any hint would be great, thanks",
    "edit: i fixed the typo, the problem is still there.",
    "what is going on here?",
    "edit: please don't downvote, tell me what is missing.",
    "am i missing something?",
    "thx",
    "kind regards",
    "is there any built in way in blank to do this?",
    "how do i solve it?",
    "where is my mistake?",
    "i would be very grateful for an example.",
    "edit: added the code.",
    "would appreciate any pointers.",
)

LEADS = (
    "here is my code:",
    "this is what i have so far:",
    "code:",
    "my code:",
    "i tried this",
    "below is the code",
    "look at this:",
    "so i have",
    "what i've got:",
    "currently i am doing this:",
    "here's the relevant part:",
    "example:",
    "the code looks like this:",
    "this is the part that fails:",
    "i wrote the following:",
    "let's say i have",
    "consider this",
    "minimal example:",
    "the following does not work:",
    "please see the code below.",
)

MORE_LEADS = (
    "and this is the rest of it, maybe it matters:",
    "in another place i have",
    "before that there is only this:",
    "the other part of the program does this:",
    "here is the other file:",
    "this one works, from the same project:",
    "i call it after this:",
    "and here is what comes next:",
    "for completeness:",
)

# A snippet in another language, and the words that make it no more than a comparison.
COMPARISONS = (
    "in the old version, which is not blank, it was:",
    "the other language i know does it like this:",
    "my BOSS has this in another language and it works there:",
    "i am trying to port this:",
    "SOURCE has it only in a different language:",
    "what i want to translate:",
)

# Nothing but the title says what it is about.
VAGUE = (
    "i can't get this to work.",
    "how do i do that?",
    "is this possible at all?",
    "why does this happen?",
    "no idea why.",
    "it does not work, what can i do?",
    "does anyone know?",
    "what is the right way to do it?",
    "i need some advice on it.",
    "i have a ITEM with a FIELD and i need this done NUM times.",
    "it is about NUM ITEMs and their FIELD.",
    "i only want the FIELD of the ITEM.",
    "there is a ITEM and a ITEM2 and they don't fit together.",
    "i searched in SOURCE but found nothing for my case.",
    "my BOSS says it is easy but i don't see how.",
)

# Told of one's own project (the thing goes with the post's language) ...
OWN = (
    "i am using THING.",
    "this is with THING if that matters.",
    "i use THING for this.",
    "it is a project with THING.",
    "i'd like to do it with THING.",
    "running it with THING.",
    "i looked at THING but got nowhere.",
    "is there something in THING for that?",
    "my setup: THING.",
    "i have installed THING.",
    "everything is done with THING.",
    "THING is already part of the project.",
    "could THING be the reason?",
    "it happened after the update of THING.",
)
# ... and of something else (the thing goes with any other language).
FOREIGN = (
    "in my old blank project i used THING for this.",
    "i come from THING so this is all new to me.",
    "with THING this would be one line.",
    "is there something like THING here?",
    "i used to work with THING.",
    "what is the equivalent of THING?",
    "the other half of the system is written with THING.",
    "my BOSS wants to replace THING with this.",
    "the data is sent by THING.",
    "people here use THING otherwise.",
    "i know how to do it with THING.",
    "this gets called from THING.",
    "in THING it just works.",
)

THINGS: Mapping[str, tuple[str, ...]] = {
    "csharp": listed("""
        visual studio 2015, linq, wpf, winforms, nuget, entity framework, .net 4.5, .net core,
        asp.net mvc, unity3d, a console application, xamarin, resharper, wcf, iis, xaml, mono,
        sql server, a windows service, a datagridview, the windows registry, an abstract class,
        visual studio code, generics, a background thread, lambda expressions, attributes, nunit
    """),
    "java": listed("""
        eclipse, intellij, maven, gradle, spring boot, hibernate, tomcat, android studio, swing, jdk 8,
        netbeans, junit, jsp, a servlet, jackson, javafx, the jvm, streams, jdbc, an applet, libgdx,
        a jar file, bluej, generics, an abstract class, a background thread, lambda expressions,
        annotations
    """),
    "javascript": listed("""
        jquery, node, npm, react, angular, chrome, the browser console, express, firefox, webpack,
        a plain html page, typescript, d3, vue, jsfiddle, bootstrap, ajax, mocha, a chrome extension,
        lodash, electron, php on the server, a google apps script, safari, visual studio code,
        a callback, mongodb, css
    """),
    "python": listed("""
        pip, anaconda, pandas, django, flask, numpy, pycharm, a jupyter notebook, idle, a raspberry pi,
        tkinter, beautifulsoup, a virtualenv, the interpreter, matplotlib, scrapy, version 2.7,
        version 3.6, pygame, selenium, celery, spyder, pytest, a generator, a list comprehension,
        visual studio code, a shell script, opencv
    """),
}
# Anybody may have these.
NEUTRAL_THINGS = listed("""
    windows 10, ubuntu 16.04, docker, git, mysql, postgres, a rest api, excel, linux, a mac, sqlite,
    notepad++, vim, aws, the command line, a cron job, an old laptop, stack overflow, jenkins, a vm,
    a raspberry, redis, an xml file, selenium, a small library, regular expressions, the debugger
""")

# (as it should be, as people type it): prose only, code stays as it is.
TYPOS = (
    ("doesn't", "doesnt"),
    ("don't", "dont"),
    ("i'm", "im"),
    ("can't", "cant"),
    ("the ", "teh "),
    ("because", "becuase"),
    ("something", "somthing"),
    ("which", "wich"),
    ("does not", "dosent"),
    ("should", "shoud"),
    ("i am", "iam"),
    ("please", "plz"),
    ("you", "u"),
    ("thanks", "thx"),
    ("error", "eror"),
    (" is ", " iss "),
    ("every", "evry"),
    ("different", "diffrent"),
    ("work", "wrok"),
    ("with ", "wiht "),
    ("know", "konw"),
    ("would", "wuold"),
)

# What stands above the code in question when somebody pastes the whole file.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "csharp": (
        "using System;\nusing System.Collections.Generic;\n",
        "using System;\nusing System.Linq;\nusing System.Text;\n\nnamespace ITEMROLE\n{",
        "using System.IO;\nusing System.Windows.Forms;\n",
        "public partial class Form1 : Form\n{\n    ITEM VAR = new ITEM();\n",
        "class Program\n{",
        "// NUM.cs\nnamespace MyProject.ITEMs\n{",
        "public class ITEMController : Controller\n{",
        "#region ITEM\nprivate ITEM _ITEM;\npublic int FIELD { get; set; }\n",
    ),
    "java": (
        "import java.util.*;\nimport java.io.*;\n",
        "package com.example.ITEM;\n\nimport java.util.List;\nimport java.util.ArrayList;\n",
        "import javax.swing.*;\nimport java.awt.event.*;\n",
        "public class Main {\n    ITEM VAR = new ITEM();\n",
        "public class Test {",
        "// NUM.java\npackage ITEM;\n",
        "@Service\npublic class ITEMService {\n    @Autowired\n    private ITEMRepository ITEMs;\n",
        "private ITEM ITEM;\npublic int getFIELD() { return FIELD; }\n",
    ),
    "javascript": (
        "'use strict';\n",
        "const express = require('express');\nconst app = express();\n",
        "$(document).ready(function() {",
        '<!DOCTYPE html>\n<html>\n<body>\n<div id="ITEM"></div>\n<script type="text/javascript">',
        "var VAR = document.getElementById('ITEM');\nvar FIELD = NUM;\n",
        "// ITEM.js\nlet ITEMs = [];\n",
        "import React from 'react';\nexport default class ITEM extends React.Component {",
        "window.onload = function () {\n    var ITEMs = [];\n",
    ),
    "python": (
        "import os\nimport sys\n",
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n",
        "from ITEM import *\nimport numpy as np\n",
        "VAR = None\nITEMs = []\n",
        "# ITEM.py\nfrom collections import namedtuple\n",
        "class ITEM(object):\n    def __init__(self, FIELD):\n        self.FIELD = FIELD\n",
        "from django.db import models\n\nclass ITEM(models.Model):\n    FIELD = models.IntegerField()\n",
        "if __name__ == '__main__':",
    ),
}

# What the screen says when it has gone wrong.
TRACES: Mapping[str, tuple[str, ...]] = {
    "csharp": (
        "System.InvalidOperationException: WORD\n   at ITEM.VERB() in c:\\projects\\ITEM.cs:line NUM",
        "Unhandled Exception: System.ArgumentException: value does not fall within the expected range.\n"
        "   at System.String.VERB(Int32 FIELD)\n   at Program.Main(String[] args) in Program.cs:line NUM",
        "Error CS01NUM: cannot convert from 'ITEM' to 'string'",
        "error: 'ITEM' does not contain a definition for 'FIELD' and no extension method could be found",
    ),
    "java": (
        'Exception in thread "main" java.lang.IllegalStateException: WORD\n'
        "    at com.example.ITEM.VERB(ITEM.java:NUM)\n    at com.example.Main.main(Main.java:NUM2)",
        "java.lang.RuntimeException: WORD\n    at ITEM.VERB(ITEM.java:NUM)\nCaused by: java.lang.Error",
        "ITEM.java:NUM: error: incompatible types: ITEM cannot be converted to String",
        "error: cannot find symbol\n    ITEM.FIELD();\n        ^\n  symbol: method FIELD()",
    ),
    "javascript": (
        "Uncaught TypeError: VERB is not a function\n    at ITEM.js:NUM\n    at HTMLButtonElement.onclick",
        "/app/ITEM.js:NUM\n    throw err;\n    ^\nError: WORD\n    at Object.<anonymous> (ITEM.js:NUM:NUM2)",
        "Uncaught SyntaxError: Unexpected token ) (index):NUM",
        "ReferenceError: ITEM is not defined\n    at VERB (ITEM.js:NUM:NUM2)",
    ),
    "python": (
        'Traceback (most recent call last):\n  File "ITEM.py", line NUM, in <module>\nValueError: WORD',
        'Traceback (most recent call last):\n  File "<stdin>", line 1, in <module>\n'
        "AttributeError: 'ITEM' object has no attribute 'FIELD'",
        '  File "ITEM.py", line NUM\n    FIELD = NUM2\n        ^\nIndentationError: unexpected indent',
        "TypeError: VERB_it() takes NUM positional arguments but NUM2 were given",
    ),
}
TRACE_LEADS = (
    "the error is:",
    "this is what i get:",
    "output:",
    "error message:",
    "it ends with",
    "and then this comes:",
    "stack trace:",
    "the message says",
    "after that i see this:",
)

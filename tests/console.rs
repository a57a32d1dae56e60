//! The console's page in a real browser, beside real phones: what it shows, what it does, and what it does not let clients do to it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::http::get;
use crate::support::records::fill;
use crate::support::{Phone, Process, Rig, Scratch, address_on, eventually};

/// What the test of a view needs to know of the page: the text of the cells of its tables.
const CELLS: &str = "[...document.querySelectorAll('tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent))";

fn audit(admin: SocketAddr) -> Value {
    get(admin, "/api/v1/audit").json()["audit"].clone()
}

/// Two in a call, on two shards.
fn in_a_call(rig: &Rig) -> ([String; 2], [Phone; 2], String) {
    let names = [address_on(0, 2, "alice"), address_on(1, 2, "bob")];
    let (mut a, mut b) = (rig.registered(&names[0]), rig.registered(&names[1]));
    let call = a.call(&names[0], &mut b, &names[1]);
    (names, [a, b], call)
}

#[test]
fn the_overview_tells_what_is_and_a_search_finds_a_line() {
    let rig = Rig::new();
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    let (names, [mut a, mut b], call) = in_a_call(&rig);
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    let call = a.call(&names[0], &mut b, &names[1]);
    a.dial("nobody@x.test");
    a.expect_busy("nobody@x.test", "no_such_address");
    let figure = |label: &str| {
        format!(
            "[...document.querySelectorAll('.card')].find((card) => card.firstChild.textContent === '{label}').children[1].textContent"
        )
    };
    browser.wait(&format!("{} === '2' && {} === '1'", figure("Connections"), figure("Calls")));
    let row = |first: &str, second: &str| {
        format!("{CELLS}.some((row) => row[0] === '{first}' && row.includes('{second}'))")
    };
    browser.wait(&row("answered", "2"));
    browser.wait(&row("no such address", "1"));
    browser.wait(&row("normal", "hangup"));
    browser.wait(&row("shards", "up"));
    browser.wait("document.querySelector('#health').dataset.state === 'ready'");
    browser.click("Lines");
    browser.wait(&format!("{CELLS}.length === 2"));
    browser.eval("document.querySelector('#q').focus()");
    browser.write(&names[1][..5]);
    browser.press("Enter");
    browser.wait(&format!("location.hash.includes('prefix=') && {CELLS}.length === 1"));
    browser.click(&names[1]);
    browser.wait_for("Connection 1");
    browser.wait(&format!("[...document.querySelectorAll('a')].some((link) => link.getAttribute('aria-label') === 'Call {call}')"));
    browser.expect_no_complaints();
}

#[test]
fn a_call_is_watched_hung_up_and_its_line_disconnected_from_the_page() {
    let rig = Rig::with(&[("admin_payloads", "true")]);
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    let (names, [mut a, mut b], call) = in_a_call(&rig);
    browser.click("Calls");
    browser.click(&format!("Call {call}"));
    browser.wait_for(&call);
    browser.click("Watch …");
    browser.wait(&format!("document.querySelector('#w-what').value === {}", json!(call)));
    browser.click("Begin to watch");
    browser.wait_for("Waiting for the first frame");
    a.say(&call, "hello");
    b.expect_msg(&call, &names[0], json!("hello"));
    b.say(&call, "you");
    a.expect_msg(&call, &names[1], json!("you"));
    browser.wait(&format!("{CELLS}.length === 4"));
    let frames = browser.eval(&format!("{CELLS}.map((row) => [row[2], row[3], row[4]])"));
    let [one, two] = [&names[0], &names[1]];
    let expected = [[one, "exchange"], ["exchange", two], [two, "exchange"], ["exchange", one]];
    let expected = expected.map(|[from, to]| json!([from, to, "MSG"]));
    assert_eq!(frames, json!(expected));
    let arrows = browser.eval("document.querySelectorAll('.scene path').length");
    assert_eq!(arrows, 4, "the drawing shows the same");
    assert!(!browser.eval("document.body.innerText").to_string().contains("hello"), "it was not asked for");
    browser.go(&format!("call/{call}"));
    browser.click("Hang up …");
    browser.wait_for("Hang up this call?");
    browser.click("Hang up");
    a.expect_hangup(&call, "admin");
    b.expect_hangup(&call, "admin");
    browser.wait_for("No such call is in progress");
    browser.wait("document.querySelector('#told').textContent.startsWith('Hung up')");
    browser.go(&format!("line/{}", names[1]));
    browser.click("Disconnect …");
    browser.click("Disconnect");
    b.expect_close(4000, "admin");
    browser.wait_for("Nobody holds this address now");
    browser.go("audit");
    browser.wait(&format!("{CELLS}.length === 3"));
    let deeds = browser.eval(&format!("{CELLS}.map((row) => [row[2], row[3], row[4]])"));
    let expected = [["disconnect", two, "done"], ["hang up", &call, "done"], ["watch", &call, "done"]];
    assert_eq!(deeds, json!(expected));
    browser.expect_no_complaints();
}

/// Payloads are copied only if the operator asks, in the page too, and the audit says so.
#[test]
fn what_is_said_is_shown_to_who_asks_and_may() {
    let rig = Rig::with(&[("admin_payloads", "true")]);
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    let (names, [mut a, mut b], call) = in_a_call(&rig);
    browser.go(&format!("ladders?call_id={call}"));
    browser.wait("!document.querySelector('.option').hidden");
    browser.eval("document.querySelector('#w-payloads').click()");
    browser.click("Begin to watch");
    browser.click("Watch");
    browser.wait_for("What is said is copied");
    a.say(&call, "<img src=x onerror=alert(1)>");
    b.expect_msg(&call, &names[0], json!("<img src=x onerror=alert(1)>"));
    browser.wait_for("<img src=x onerror=alert(1)>");
    assert_eq!(audit(rig.admin())[0]["action"], "watch_with_payloads");
    assert_eq!(browser.eval("document.images.length"), 0);
    browser.expect_no_complaints();
}

/// Yesterday's question: why did that call fail?
#[test]
fn a_call_that_failed_is_found_among_the_records_and_looked_into() {
    let folder = Scratch::new();
    let file = folder.path().join("calls.db");
    let rig = Rig::with(&[("call_records", file.to_str().expect("text"))]);
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    let (names, [mut a, mut b], call) = in_a_call(&rig);
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    a.dial("nobody@gone.test");
    a.expect_busy("nobody@gone.test", "no_such_address");
    eventually("both are kept", || {
        let kept = get(rig.admin(), "/api/v1/records").json();
        (kept["records"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    browser.click("Call records");
    browser.wait(&format!("{CELLS}.length === 2"));
    browser.eval("document.querySelector('#r-cause').focus()");
    browser.write("no_such_address");
    browser.press("Enter");
    browser.wait(&format!("location.hash.includes('cause=no_such_address') && {CELLS}.length === 1"));
    let row = browser.eval(&format!("{CELLS}[0]"));
    assert_eq!((&row[0], &row[1]), (&json!(names[0]), &json!("nobody@gone.test")));
    assert_eq!(row[3], "not answeredno_such_addressby the exchange");
    // By time: nothing has ended yesterday.
    browser.eval("document.querySelector('#r-when').value = 'yesterday'");
    browser.click("Search");
    browser.wait("location.hash.includes('when=yesterday')");
    browser.wait_for("No call that is kept fits.");
    // A call that has ended leads to its record.
    browser.go(&format!("call/{call}"));
    browser.click("its record");
    browser.wait_for("Answered after");
    browser.wait_for("Kept by");
    let facts = browser.eval("document.querySelector('.facts').innerText").to_string();
    assert!(facts.contains(&names[1]) && facts.contains("normal") && facts.contains("caller"), "{facts}");
    browser.expect_no_complaints();
}

#[test]
fn where_no_records_are_kept_the_page_says_what_would_keep_them() {
    let rig = Rig::new();
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    browser.go("records");
    browser.wait_for("This hub keeps no call records. SYSTEMX_CALL_RECORDS names a file");
    browser.go("record/c-1");
    browser.wait_for("This hub keeps no call records.");
    browser.expect_no_complaints();
}

#[test]
fn hostile_names_are_shown_as_text_and_break_nothing() {
    const IMAGE: &str = "<img/src=x/onerror=document.title='owned'>@evil.test";
    let rig = Rig::new();
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    let long = format!("{}@evil.test", "x".repeat(240));
    let names = [IMAGE, "\u{202e}gnp.exe\"'`@evil.test", "a&lt;%2e%2f?#/..@evil.test", &long];
    let phones: Vec<Phone> = names
        .iter()
        .map(|name| {
            rig.registered_with(name, json!({"metadata": {"capabilities": ["<script>alert(1)</script>"]}}))
        })
        .collect();
    let mut parties = rig.registered("host@evil.test");
    parties
        .send(json!({"type": "JOIN", "party": "<svg/onload=alert(1)>@evil.test", "create_if_missing": true}));
    parties.expect(json!({"type": "JOINED"}));
    for width in [375, 1280] {
        browser.look(width, false);
        browser.go("lines?domain=evil.test");
        browser.wait(&format!("{CELLS}.length === 5"));
        browser.wait_for(IMAGE);
        browser.wait_for("⟨U+202E⟩gnp.exe");
        expect_no_overflow(&mut browser, "lines");
        browser.go("parties");
        browser.wait_for("<svg/onload=alert(1)>@evil.test");
        expect_no_overflow(&mut browser, "parties");
    }
    // Each leads to its own line, whatever is in it.
    browser.go("lines?domain=evil.test");
    browser.wait(&format!("{CELLS}.length === 5"));
    let links = browser.eval("[...document.querySelectorAll('tbody a')].map((link) => link.hash.slice(1))");
    for link in links.as_array().expect("a list") {
        browser.go(link.as_str().expect("text").trim_start_matches('/'));
        browser.wait_for("Connection 1");
        expect_no_overflow(&mut browser, "line");
    }
    assert_eq!(browser.eval("document.images.length + document.scripts.length"), 1, "the page's own script");
    assert_ne!(browser.eval("document.title"), "owned");
    browser.expect_no_complaints();
    drop(phones);
}

fn expect_no_overflow(browser: &mut Browser, view: &str) {
    let beyond = browser.eval("document.documentElement.scrollWidth - innerWidth");
    assert!(beyond.as_i64().is_some_and(|pixels| pixels <= 0), "{view} is {beyond} pixels too wide");
    let tables = "[...document.querySelectorAll('.listing, .panel')].map((table) => table.scrollWidth - table.clientWidth)";
    let beyond = browser.eval(&format!("Math.max(0, ...{tables})"));
    assert_eq!(beyond, 0, "a table of {view} is too wide");
    let amounts =
        "[...document.querySelectorAll('.amount')].filter((one) => one.scrollWidth > one.clientWidth)";
    let beyond = browser.eval(&format!("{amounts}.map((one) => one.textContent)"));
    assert_eq!(beyond, json!([]), "numbers of {view} reach beyond their places");
}

/// What a busy exchange shows is wider than what an idle one does.
#[test]
fn numbers_of_a_busy_exchange_fit_into_their_cards_at_every_width() {
    let rig = Rig::with(&[("shards", "4")]);
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    for width in [375, 820, 1000, 1200, 1320, 1440] {
        browser.look(width, false);
        browser.go("overview");
        browser.wait(&format!("{CELLS}.some((row) => row[0] === 'shards')"));
        browser.click("Pause");
        browser
            .eval("for (const one of document.querySelectorAll('.amount')) one.textContent = '999.9 MiB/s'");
        browser
            .eval("for (const one of document.querySelectorAll('td.number')) one.textContent = '99.95 ms'");
        expect_no_overflow(&mut browser, &format!("the overview at {width}"));
    }
}

/// Presses Tab until what has the focus has this text.
fn tab_to(browser: &mut Browser, text: &str) {
    const TABS_MAX: usize = 60;
    for _ in 0..TABS_MAX {
        browser.press("Tab");
        if browser.eval("document.activeElement.textContent.trim()") == text {
            let outline = browser.eval("getComputedStyle(document.activeElement).outlineStyle");
            assert_eq!(outline, "solid", "the focus on {text} can be seen");
            return;
        }
    }
    panic!("{text} is not reached with the Tab key");
}

#[test]
fn everything_can_be_done_by_keyboard() {
    let rig = Rig::new();
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    let (names, [mut a, mut b], call) = in_a_call(&rig);
    browser.press("Tab");
    assert_eq!(browser.eval("document.activeElement.textContent"), "Skip to content");
    browser.press("Enter");
    assert_eq!(browser.eval("document.activeElement.id"), "main");
    browser.go("overview");
    tab_to(&mut browser, "Calls");
    browser.press("Enter");
    browser.wait("document.activeElement.textContent === 'Calls in progress'");
    let shown = format!("…{}", &call[call.len() - 8..]);
    browser.wait_for(&shown);
    tab_to(&mut browser, &shown);
    browser.press("Enter");
    browser.wait_for("Hang up …");
    browser.wait("[...document.querySelectorAll('button.danger')].every((one) => !one.disabled)");
    tab_to(&mut browser, "Hang up …");
    browser.press("Enter");
    browser.wait("document.querySelector('dialog[open]') !== null");
    let asked = browser.eval("document.querySelector('dialog').textContent").to_string();
    assert!(names.iter().all(|name| asked.contains(name)), "it says whose call: {asked}");
    assert_eq!(browser.eval("document.activeElement.textContent"), "Cancel", "the harmless one comes first");
    browser.press("Escape");
    browser.wait("document.querySelector('dialog') === null");
    assert_eq!(browser.eval("document.activeElement.textContent"), "Hang up …", "the focus comes back");
    a.expect_nothing();
    browser.press("Enter");
    browser.wait("document.querySelector('dialog[open]') !== null");
    tab_to(&mut browser, "Hang up");
    browser.press("Enter");
    a.expect_hangup(&call, "admin");
    b.expect_hangup(&call, "admin");
    browser.wait_for("No such call is in progress");
    assert_eq!(browser.eval("document.activeElement.tagName"), "H1", "the focus is not lost with the button");
    browser.expect_no_complaints();
}

/// Names of what can be used, and levels of headings, out of the tree that screen readers read.
fn check_accessibility(browser: &mut Browser, view: &str) {
    const NAMED: [&str; 8] =
        ["button", "link", "textbox", "searchbox", "combobox", "checkbox", "table", "navigation"];
    let tree = browser.command("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().expect("a list");
    let (mut last_level, mut count) = (0, 0);
    for node in nodes.iter().filter(|node| node["ignored"] != true) {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let name = node["name"]["value"].as_str().unwrap_or_default();
        if NAMED.contains(&role) {
            assert!(!name.trim().is_empty(), "{view}: a {role} has no name: {node}");
            count += 1;
        }
        if role == "heading" {
            let properties = node["properties"].as_array().expect("a list");
            let level = properties.iter().find(|one| one["name"] == "level").expect("headings have levels");
            let level = level["value"]["value"].as_i64().expect("a number");
            assert!(level <= last_level + 1, "{view}: {name:?} of level {level} follows level {last_level}");
            last_level = level;
        }
    }
    assert!(last_level > 0 && count > 5, "{view} has a heading, and things to use: {count}");
}

#[test]
fn every_view_can_be_heard_and_read_on_a_phone_in_light_and_dark() {
    let folder = Scratch::new();
    let file = folder.path().join("calls.db");
    fill(&file, 60, 1_795_219_200_000);
    let kept = [("call_records", file.to_str().expect("text")), ("call_records_days", "36500")];
    let rig = Rig::with(&kept);
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    let (names, phones, call) = in_a_call(&rig);
    let body = json!({"address": names[0]}).to_string();
    let begun = crate::support::http::post(rig.admin(), "/api/v1/watches", &body);
    let ladder = format!("ladder/{}", begun.json()["id"]);
    let [mut a, _b] = phones;
    a.say(&call, "hello");
    let (line, call) = (format!("line/{}", names[0]), format!("call/{call}"));
    let views = [
        "overview",
        "lines",
        &line,
        "calls",
        &call,
        "parties",
        "links",
        "slow",
        "warnings",
        "audit",
        "ladders",
        &ladder,
        "records",
        "records?since_ms=1&when=between",
        "record/seed-7",
    ];
    for (width, is_dark) in [(375, false), (375, true), (820, false), (1200, false), (1280, true)] {
        browser.look(width, is_dark);
        for view in views {
            browser.go(view);
            browser.wait("!document.body.innerText.includes('Asking the hub')");
            expect_no_overflow(&mut browser, view);
            check_accessibility(&mut browser, view);
        }
        let ground = browser.eval("getComputedStyle(document.body).backgroundColor");
        let expected = if is_dark { "rgb(18, 20, 23)" } else { "rgb(246, 247, 249)" };
        assert_eq!(ground, expected);
    }
    // The switch is stronger than the system's wish.
    browser.click("Theme: auto");
    browser.click("Theme: light");
    browser.wait("document.documentElement.dataset.theme === 'dark'");
    browser.expect_no_complaints();
}

#[test]
fn the_page_says_when_the_hub_is_gone_and_keeps_what_it_knew() {
    let rig = Rig::new();
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    let _phone = rig.registered("kept@stop.test");
    browser.click("Lines");
    browser.wait_for("kept@stop.test");
    rig.stop();
    browser.wait_for("The hub does not answer.");
    browser.wait("document.querySelector('#health').dataset.state === 'gone'");
    browser.wait_for("kept@stop.test");
    browser.expect_no_complaints();
}

#[test]
fn a_part_that_is_down_is_told_at_the_top() {
    let rig = Rig::new();
    let Some(mut browser) = Browser::open(rig.admin()) else { return };
    let part = rig.readiness().part("drain");
    part.goes_down("draining since noon");
    browser.wait_for("Not ready: drain");
    browser.wait_for("draining since noon");
    part.comes_up();
    browser.wait("document.querySelector('#health').dataset.state === 'ready'");
}

#[test]
fn the_token_is_asked_for_and_kept_in_the_tab_only() {
    const TOKEN: &str = "0123456789abcdef-token";
    let exchange = Process::start_with(&[], &[("SYSTEMX_ADMIN_TOKEN", TOKEN)]);
    let Some(mut browser) = Browser::open(exchange.admin()) else { return };
    browser.wait_for("Admin token");
    browser.wait("document.activeElement.id === 'token'");
    browser.write("not-the-right-one");
    browser.press("Enter");
    browser.wait_for("does not take this token");
    browser.wait("document.activeElement.id === 'token'");
    browser.write(TOKEN);
    browser.press("Enter");
    browser.wait_for("Version ");
    assert_eq!(browser.eval("JSON.stringify(localStorage).includes('token')"), false);
    browser.eval("location.reload()");
    browser.wait_for("Version ");
    browser.click("Forget token");
    browser.wait_for("Admin token");
    eventually("nobody is shown it", || {
        let lines = exchange.log.all();
        (!lines.iter().any(|line| line.contains(TOKEN))).then_some(())
    });
}

/// Which hubs can be drained at all says the API.
#[test]
fn a_drain_is_offered_where_there_is_one_and_ordered_after_a_question() {
    let exchange = Process::start(&[]);
    let Some(mut browser) = Browser::open(exchange.admin()) else { return };
    browser.wait_for("Readiness");
    if get(exchange.admin(), "/api/v1/drain").status == 404 {
        browser.wait(&format!("{CELLS}.some((row) => row[0] === 'shards')"));
        let shown = browser.eval("document.body.innerText").to_string();
        assert!(!shown.contains("Drain …"), "{shown}");
        return;
    }
    // Somebody in a call, so that the drain lasts.
    let mut phones = ["alice@drain.test", "bob@drain.test"].map(|name| exchange.registered(name));
    let [a, b] = &mut phones;
    a.call("alice@drain.test", b, "bob@drain.test");
    browser.eval("document.querySelector('#drain-seconds').focus()");
    browser.write("60");
    browser.click("Drain …");
    browser.click("Drain");
    browser.wait_for("Draining: nobody is let in");
    assert_eq!(audit(exchange.admin())[0]["action"], "drain");
}

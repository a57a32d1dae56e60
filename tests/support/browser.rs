//! A real browser: Chromium without a window, driven over its DevTools protocol by a client of a few lines. One at a time, with a
//! profile of its own; what the page's scripts throw, or its policy forbids, fails the test.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::{Scratch, eventually};

/// How long anything in a browser may take: it starts a dozen processes, and several builds may share the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time for its end, before it is killed.
const END_MAX: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Browsers are heavy, so there is one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A browser with one tab.
pub struct Browser {
    child: Child,
    tools: WebSocket<TcpStream>,
    session: String,
    last_id: u64,
    complaints: Vec<String>,
    page: SocketAddr,
    _profile: Scratch,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Opens the console's page of this admin listener. `None` on a machine without Chromium, which CI must not be.
    pub fn open(page: SocketAddr) -> Option<Self> {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = Scratch::new();
        let command = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match command {
            Ok(child) => child,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "chromium, which tests/all.sh installs: {error}");
                return None;
            }
        };
        let tools = connect(&profile);
        let session = String::new();
        let mut browser = Self {
            child,
            tools,
            session,
            last_id: 0,
            complaints: Vec::new(),
            page,
            _profile: profile,
            _turn: turn,
        };
        let target = browser.command("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.command("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().expect("it is attached").to_owned();
        for domain in ["Page", "Runtime", "Log", "Accessibility"] {
            browser.command(&format!("{domain}.enable"), json!({}));
        }
        browser.go("overview");
        Some(browser)
    }

    /// Loads a view of the page, as if its link had been given by somebody.
    pub fn go(&mut self, view: &str) {
        // From elsewhere, so that it is loaded and not only looked up in the page.
        self.command("Page.navigate", json!({"url": "about:blank"}));
        let url = format!("http://{}/#/{view}", self.page);
        self.command("Page.navigate", json!({"url": url}));
        self.wait("document.querySelector('#view h1') !== null");
    }

    /// A command of the DevTools protocol, and what it returns.
    pub fn command(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same, which may be refused.
    fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": params});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.tools.send(Message::text(command.to_string())).expect("the browser reads");
        loop {
            let Message::Text(text) = self.tools.read().expect("the browser answers") else { continue };
            let mut said: Value = serde_json::from_str(&text).expect("it speaks JSON");
            if said["id"] == self.last_id {
                return if said["error"].is_null() { Ok(said["result"].take()) } else { Err(said) };
            }
            self.note(&said);
        }
    }

    fn note(&mut self, event: &Value) {
        let is_complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            // That an address answers with an error is the page's business.
            Some("Log.entryAdded") => {
                event["params"]["entry"]["level"] == "error"
                    && event["params"]["entry"]["source"] != "network"
            }
            Some("Page.javascriptDialogOpening") => true,
            _ => false,
        };
        if is_complaint {
            self.complaints.push(event["params"].to_string());
        }
    }

    /// The value of an expression in the page; a promise is awaited.
    pub fn eval(&mut self, expression: &str) -> Value {
        let ask = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut got = self.command("Runtime.evaluate", ask);
        assert!(got["exceptionDetails"].is_null(), "{expression}: {got}");
        got["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        let safe = format!("(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()");
        // The page may just be between two documents; then nothing can be asked.
        let ask = json!({"expression": safe, "returnByValue": true});
        while !self.ask("Runtime.evaluate", ask.clone()).is_ok_and(|got| got["result"]["value"] == true) {
            if Instant::now() > until {
                let seen = self.eval("location.href + ' ' + document.body.innerText");
                panic!(
                    "{expression}: not within {PATIENCE:?}; there is {seen}, complaints {:?}",
                    self.complaints
                );
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Waits until the view, or a dialog over it, shows a text.
    pub fn wait_for(&mut self, text: &str) {
        self.wait(&format!("document.body.innerText.includes({})", json!(text)));
    }

    /// Clicks what has this text or label, once it is there.
    pub fn click(&mut self, text: &str) {
        let find = format!(
            "[...document.querySelectorAll('button, a')].filter((one) => one.checkVisibility() && \
             [one.textContent.trim(), one.getAttribute('aria-label')].includes({})).at(-1)",
            json!(text)
        );
        self.wait(&format!("(() => {{ const one = {find}; return one && !one.disabled }})()"));
        self.eval(&format!("{find}.click()"));
    }

    /// Types a text where the focus is.
    pub fn write(&mut self, text: &str) {
        self.command("Input.insertText", json!({"text": text}));
    }

    /// Presses and releases a key.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            " " => (32, " "),
            _ => (27, ""),
        };
        let mut event = json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code});
        if !text.is_empty() {
            event["text"] = json!(text);
        }
        self.command("Input.dispatchKeyEvent", event);
        let release = json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code});
        self.command("Input.dispatchKeyEvent", release);
    }

    /// The size of the window, and whether dark is preferred.
    pub fn look(&mut self, width: u32, is_dark: bool) {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600});
        self.command("Emulation.setDeviceMetricsOverride", size);
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", media);
    }

    /// The page has thrown nothing and tried nothing that its policy forbids.
    pub fn expect_no_complaints(&mut self) {
        self.eval("1");
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // In order, so that its helpers have left the profile when that is removed. It may have ended already; then all of this
        // is right too.
        let close = json!({"id": self.last_id + 1, "method": "Browser.close"});
        let is_told = self.tools.send(Message::text(close.to_string())).is_ok();
        let until = Instant::now() + END_MAX;
        while is_told && Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::park_timeout(LOOK_AGAIN);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The browser says in a file where it listens.
fn connect(profile: &Scratch) -> WebSocket<TcpStream> {
    let file = profile.path().join("DevToolsActivePort");
    let until = Instant::now() + PATIENCE;
    let (port, path) = loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut lines = text.lines();
        if let (Some(port), Some(path)) = (lines.next(), lines.next()) {
            break (port.to_owned(), path.to_owned());
        }
        assert!(Instant::now() < until, "the browser does not start");
        std::thread::park_timeout(LOOK_AGAIN);
    };
    let stream = eventually("it listens", || TcpStream::connect(format!("127.0.0.1:{port}")).ok());
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a limit");
    let url = format!("ws://127.0.0.1:{port}{path}");
    client(url, stream).expect("it speaks WebSocket").0
}

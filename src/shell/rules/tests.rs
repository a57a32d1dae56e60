//! Rules from files and keys from a server on loopback.

use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::channel;

use super::*;
use crate::identity::{Credentials, Token};

const LIMIT: Duration = Duration::from_secs(10);
const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"}]}"#;

/// A folder that is gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("systemx-rules-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the temporary folder can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sources(file: PathBuf) -> RuleSources {
    RuleSources { file: Some(file), tokens: None, grace_ms: 0 }
}

fn opens(book: &Rulebook, token: &str) -> bool {
    let shown = Credentials { token: Token::new(token), ..Credentials::default() };
    book.may_register(0, &shown, "a@corp.test").is_ok_and(|proof| proof.is_some())
}

fn register(token: &str) -> String {
    format!(r#"{{"register":[{{"pattern":"*@corp.test","tokens":["{token}"]}}]}}"#)
}

/// Answers so many requests and says how many it has answered.
fn serve(answers: Vec<String>) -> (String, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}/keys", listener.local_addr().expect("it is bound"));
    let body = move || {
        let mut count = 0;
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { break };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
            count += 1;
        }
        count
    };
    (url, std::thread::spawn(body))
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn a_reload_brings_new_rules_and_a_bad_file_changes_nothing() {
    let folder = Folder::new("reload");
    let file = folder.write("auth.json", &register("old"));
    let (told, news) = channel();
    let spread: Spread = Box::new(move |book| told.send(book.clone()).expect("the test listens"));
    let (book, desk) = RuleDesk::start(sources(file), spread).expect("the rules are right");
    assert!(opens(&book, "old") && !opens(&book, "new"));
    folder.write("auth.json", "{\"register\": 7}");
    desk.orders().reload();
    folder.write("auth.json", &register("new"));
    desk.orders().reload();
    // The bad one is told to nobody, unless the good one has taken its place already.
    let book = news.recv_timeout(LIMIT).expect("new rules");
    assert!(opens(&book, "new") && !opens(&book, "old"));
    desk.stop().join().expect("it ends");
}

#[test]
fn mistakes_name_the_file_and_what_is_wrong_in_it() {
    let folder = Folder::new("mistakes");
    let said = |file: PathBuf| sources(file).check().expect_err("it is wrong").to_string();
    let missing = said(folder.0.join("none.json"));
    assert!(missing.starts_with("cannot read ") && missing.contains("none.json"), "{missing}");
    let wrong = said(folder.write("wrong.json", r#"{"dial":[{"from":"*"}]}"#));
    assert!(wrong.ends_with("wrong.json: $.dial[0].to is missing; it must be an address pattern such as bob@corp.test, *@corp.test or *.corp.test"), "{wrong}");
    folder.write("empty.pem", "nothing");
    let keys = said(folder.write("keys.json", r#"{"jwt":{"keys":"empty.pem"}}"#));
    assert!(keys.contains("empty.pem: no usable key"), "{keys}");
    let tokens = RuleSources { file: None, tokens: Some(Secret::new("hush")), grace_ms: 0 };
    let short = tokens.check().expect_err("it is wrong").to_string();
    assert!(short.starts_with("SYSTEMX_AUTH_TOKENS: part 1") && !short.contains("hush"), "{short}");
}

#[test]
fn keys_come_from_a_server_at_the_start_and_with_a_reload() {
    let (url, server) = serve(vec![ok(KEYS), ok(KEYS)]);
    let folder = Folder::new("fetch");
    let file = folder.write("auth.json", &format!(r#"{{"jwt":{{"jwks_url":"{url}"}}}}"#));
    let (told, news) = channel();
    let spread: Spread = Box::new(move |book| told.send(book.clone()).expect("the test listens"));
    let (book, desk) = RuleDesk::start(sources(file), spread).expect("the rules are right");
    assert_eq!(book.keys().len(), 1);
    desk.orders().reload();
    // Before the server has answered, and after.
    for _ in 0..2 {
        assert_eq!(news.recv_timeout(LIMIT).expect("new rules").keys().len(), 1);
    }
    desk.stop().join().expect("it ends");
    assert_eq!(server.join().expect("it ends"), 2);
}

#[tokio::test]
async fn what_is_no_key_set_is_not_taken_and_known_keys_go_on_counting() {
    let large = "x".repeat(KEY_FILE_BYTES_MAX + 1);
    let moved =
        "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
    let answers = vec![ok("{}"), ok(&large), moved, "nonsense\r\n\r\n".to_owned(), ok(KEYS)];
    let (url, server) = serve(answers);
    let mut fetcher = Fetcher::default();
    for expected in
        ["the answer: neither", "the answer is larger", "the key server answers 302", "the key server cannot"]
    {
        let error = fetcher.fetch(&url, LIMIT).await.expect_err("no keys").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(fetcher.fetch(&url, LIMIT).await.expect("keys").len(), 1);
    server.join().expect("it ends");
    // Nobody answers: the connection is accepted by the kernel and left alone.
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}/", silent.local_addr().expect("it is bound"));
    let error = fetcher.fetch(&url, Duration::from_millis(20)).await.expect_err("no keys");
    assert!(matches!(error, fetch::FetchError::TimedOut), "{error}");
    let (url, server) = serve(vec![ok(KEYS), ok("{}")]);
    let folder = Folder::new("keep");
    let file = folder.write("auth.json", &format!(r#"{{"jwt":{{"jwks_url":"{url}"}}}}"#));
    let mut keeper =
        Keeper::new(sources(file), Orders::default(), Box::new(|_| {})).expect("the rules are right");
    assert!(keeper.fetch_keys(LIMIT).await);
    keeper.reload().await;
    assert_eq!(keeper.book.keys().len(), 1);
    server.join().expect("it ends");
}

/// A key server that takes its time holds up neither new rules nor the end, and keys of a file that are taken out are out.
#[test]
fn a_key_server_that_does_not_answer_holds_nothing_up() {
    let (url, server) = serve(vec![ok(KEYS)]);
    let folder = Folder::new("silent");
    let file = |register: &str, keys: &str| {
        format!(
            r#"{{"register":[{{"pattern":"*@corp.test","tokens":["{register}"]}}],"jwt":{{{keys}"jwks_url":"{url}"}}}}"#
        )
    };
    folder.write("keys.json", KEYS);
    let path = folder.write("auth.json", &file("old", r#""keys":"keys.json","#));
    let (told, news) = channel();
    let spread: Spread = Box::new(move |book| told.send(book.clone()).expect("the test listens"));
    let (book, desk) = RuleDesk::start(sources(path), spread).expect("the rules are right");
    assert_eq!(book.keys().len(), 2);
    server.join().expect("it ends");
    // From here on the kernel accepts and nobody answers.
    let silent =
        TcpListener::bind(&url["http://".len()..url.len() - "/keys".len()]).expect("it is free again");
    folder.write("auth.json", &file("new", ""));
    desk.orders().reload();
    let book = news.recv_timeout(LIMIT).expect("new rules");
    assert!(opens(&book, "new") && book.keys().len() == 1);
    for _ in 0..1000 {
        desk.orders().want_keys();
    }
    folder.write("auth.json", &file("newer", ""));
    desk.orders().reload();
    assert!(opens(&news.recv_timeout(LIMIT).expect("newer rules"), "newer"));
    let asked = Instant::now();
    desk.stop().join().expect("it ends");
    assert!(asked.elapsed() < FETCH_MAX / 2, "{:?}", asked.elapsed());
    drop(silent);
}

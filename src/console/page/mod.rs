//! The console's page: the files that a browser loads, built into the program so that nothing else has to be installed.
//!
//! Plain HTML, CSS and JavaScript modules, as they are written here; no build step, nothing from elsewhere. Each file has a tag made
//! of its content, so that browsers keep what has not changed and a new version is seen at once.

use std::fmt::Write as _;
use std::sync::OnceLock;

use ring::digest::{SHA256, digest};

/// Bytes of a digest that a tag shows: enough to tell versions apart.
const TAG_BYTES: usize = 12;

/// A file of the page.
#[derive(Debug)]
pub struct Asset {
    /// Its path.
    pub path: &'static str,
    /// Its type.
    pub content_type: &'static str,
    /// What is in it.
    pub text: &'static str,
    tag: OnceLock<String>,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

static ASSETS: [Asset; 18] = [
    Asset::new("/", HTML, include_str!("index.html")),
    Asset::new("/console/console.css", CSS, include_str!("console.css")),
    Asset::new("/console/parts.css", CSS, include_str!("parts.css")),
    Asset::new("/console/icon.svg", PICTURE, include_str!("icon.svg")),
    Asset::new("/console/main.js", SCRIPT, include_str!("main.js")),
    Asset::new("/console/api.js", SCRIPT, include_str!("api.js")),
    Asset::new("/console/dom.js", SCRIPT, include_str!("dom.js")),
    Asset::new("/console/format.js", SCRIPT, include_str!("format.js")),
    Asset::new("/console/table.js", SCRIPT, include_str!("table.js")),
    Asset::new("/console/dialogs.js", SCRIPT, include_str!("dialogs.js")),
    Asset::new("/console/overview.js", SCRIPT, include_str!("overview.js")),
    Asset::new("/console/drain.js", SCRIPT, include_str!("drain.js")),
    Asset::new("/console/charts.js", SCRIPT, include_str!("charts.js")),
    Asset::new("/console/lists.js", SCRIPT, include_str!("lists.js")),
    Asset::new("/console/records.js", SCRIPT, include_str!("records.js")),
    Asset::new("/console/details.js", SCRIPT, include_str!("details.js")),
    Asset::new("/console/ladders.js", SCRIPT, include_str!("ladders.js")),
    Asset::new("/console/drawing.js", SCRIPT, include_str!("drawing.js")),
];

impl Asset {
    const fn new(path: &'static str, content_type: &'static str, text: &'static str) -> Self {
        Self { path, content_type, text, tag: OnceLock::new() }
    }

    /// The file at a path.
    pub fn at(path: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.path == path)
    }

    /// Its entity tag, quotes included: the same as long as its content is.
    pub fn tag(&'static self) -> &'static str {
        self.tag.get_or_init(|| {
            let hash = digest(&SHA256, self.text.as_bytes());
            let mut tag = String::from("\"");
            for byte in &hash.as_ref()[..TAG_BYTES] {
                write!(tag, "{byte:02x}").expect("a string takes everything");
            }
            tag + "\""
        })
    }
}

impl PartialEq for Asset {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Asset {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::cause::Cause;

    #[test]
    fn every_file_that_is_named_is_there() {
        let mut named: Vec<&str> = Vec::new();
        for asset in &ASSETS {
            for ending in [".js", ".css", ".svg"] {
                let ends = asset.text.match_indices(ending).map(|(at, _)| &asset.text[..at + ending.len()]);
                named.extend(ends.filter_map(|text| text.rsplit('"').next()));
            }
        }
        let is_path = |name: &&str| name.starts_with("./") || name.starts_with('/');
        let named: Vec<&str> = named.into_iter().filter(is_path).collect();
        assert!(named.len() > ASSETS.len(), "{named:?}");
        for name in named {
            let path = name.replacen("./", "/console/", 1);
            assert!(Asset::at(&path).is_some(), "{path} is named and not there");
        }
    }

    /// What is shown came from clients: it may become text, and never HTML, code or style.
    #[test]
    fn nothing_makes_html_or_code_of_text() {
        const BANNED: [&str; 10] = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "javascript:",
            "style=\"",
            "onclick=\"",
        ];
        for asset in &ASSETS {
            let found: Vec<_> = BANNED.iter().filter(|word| asset.text.contains(**word)).collect();
            assert!(found.is_empty(), "{}: {found:?}", asset.path);
            let elsewhere = asset.text.replace("http://www.w3.org/", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{}", asset.path);
        }
    }

    #[test]
    fn scripts_say_what_they_are_for() {
        for asset in ASSETS.iter().filter(|asset| asset.content_type == SCRIPT) {
            assert!(asset.text.starts_with("// @ts-check\n// "), "{}", asset.path);
        }
    }

    #[test]
    fn the_causes_that_a_search_suggests_are_those_that_the_exchange_gives() {
        let script = Asset::at("/console/records.js").expect("it is there").text;
        let list = script.split("const CAUSES = [").nth(1).and_then(|rest| rest.split(']').next());
        let suggested: Vec<&str> = list.expect("it is there").split('"').skip(1).step_by(2).collect();
        let given: Vec<&str> = Cause::of_calls().iter().map(|cause| cause.name()).collect();
        assert_eq!(suggested, given);
    }

    #[test]
    fn tags_follow_the_content() {
        let (page, style) = (&ASSETS[0], &ASSETS[1]);
        assert!(page.tag() != style.tag() && page.tag() == page.tag(), "{}", page.tag());
        assert_eq!(page.tag().len(), 2 * TAG_BYTES + 2);
    }
}

//! The console's page as HTTP: which file has which path, its type, and when a browser may keep it.
//!
//! It holds nothing that is known only to those with a token, so it is shown to all who may call the listener: the page has to be
//! there before it can ask for the token.

use hyper::header::{HeaderMap, IF_NONE_MATCH};

use super::reply::Answer;
use crate::console::page::Asset;

/// A file of the page; nothing but its tag, if the browser has it.
pub(super) fn show(asset: &'static Asset, headers: &HeaderMap) -> Answer {
    let tag = asset.tag();
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_known = known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag);
    Answer::asset(asset.content_type, (!is_known).then_some(asset.text), tag)
}

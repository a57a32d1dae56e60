//! The one integration binary: what can only be seen from outside the library. One module for each question.

/// Do whole conversations come out as their transcripts say, bytes to bytes through one shard?
mod golden;
/// Is every dependency under a licence this project can be shipped with?
mod licences;
/// Do the container files name only what exists?
mod packaging;
/// Do the protocol's document and its AsyncAPI description say the same?
mod protocol_docs;
/// Does the source keep to the style that a machine can check?
mod tidy;

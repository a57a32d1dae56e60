//! The one integration binary: what can only be seen from outside the library. One module for each question.

/// What can clients do to the exchange that they should not be able to?
mod bad_input;
/// Do whole conversations come out as their transcripts say, bytes to bytes through one shard?
mod golden;
/// Is every dependency under a licence this project can be shipped with?
mod licences;
/// Do the container files name only what exists?
mod packaging;
/// Do the protocol's document and its AsyncAPI description say the same?
mod protocol_docs;
/// Does every rule of the exchange hold in simulated runs?
mod sim;
/// Does the source keep to the style that a machine can check?
mod tidy;
/// Does the framing pass the cases of the public WebSocket suites?
mod websocket_conformance;

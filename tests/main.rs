//! The one integration binary: what can only be seen from outside the library. One module for each question.

/// Do operators, scrapers and probes get what is theirs, and nobody else anything?
mod admin;
/// What can clients do to the exchange that they should not be able to?
mod bad_input;
/// Do frames for many reach each of them, sent together or one by one?
mod batches;
/// Who hears whom when one speaks and many listen?
mod broadcast;
/// Is every call written down, once, with how it ended?
mod call_log;
/// What does a caller get that names its dials?
mod caller_extensions;
/// Do two lines ring, talk and part as the protocol says, on whatever shards they are?
mod calls;
/// Can an operator use the console's page, in a real browser, by mouse, keys and ears, whatever clients send?
mod console;
/// Can what operators deploy be used as it is, and does it fit the program?
mod deploy;
/// Who is let in through a browser or a proxy, and whose connection does it count as?
mod doorway;
/// Does an exchange make room for the next without a storm, and is everybody told?
mod drain;
/// Do exchanges reach each other's lines, and is everybody told how that went?
mod federation;
/// Do whole conversations come out as their transcripts say, bytes to bytes through one shard?
mod golden;
/// Does a tree of exchanges carry calls, and lose none of them silently, whatever dies?
mod hierarchy;
/// Can only those who may register, dial, see and wake, and does nobody learn their secrets?
mod identity;
/// Does an operator who watches an address or a call see every frame of it, and nothing of others?
mod ladders;
/// Is every dependency under a licence this project can be shipped with?
mod licences;
/// Does the load generator find what is there, and notice a server that cheats?
mod loadtest;
/// Do the load generator's commands say of kept findings what is true, and with the right exit code?
mod loadtest_reports;
/// Is the log told to those who dial it, and no more than that?
mod log_stream;
/// Do the container files name only what exists?
mod packaging;
/// Who is on a party line, and who hears whom there?
mod parties;
/// Does an exchange call others by itself, and again when a link is lost?
mod peers;
/// Who gets the call when a callee takes several?
mod pools;
/// Does everybody see who is there, and only that?
mod presence;
/// Do shards use the processors as they were told?
mod processors;
/// Do the programs do and print what an operator expects?
mod programs;
/// Do the protocol's document and its AsyncAPI description say the same?
mod protocol_docs;
/// Does every command in the documents work?
mod readme;
/// Is every call in the file of call records, whatever happens to the file, and can it be asked for?
mod records;
/// Who holds which address, and does a connection lose anything on its way to the home of its address?
mod registration;
/// Do faults that somebody has met stay away?
mod regression;
/// Do the shards say truly what they do?
mod reports;
/// Does the exchange go in order, in time, whatever its clients do?
mod shutdown;
/// Does every rule of the exchange hold in simulated runs?
mod sim;
/// Are silent lines cut off, and idle ones put to sleep, when they should be and not before?
mod sleep;
/// Is a slow client slow for its partner only, and a deaf one cut off?
mod slow_lines;
/// The exchange, the client and the servers that the scenarios share.
mod support;
/// Does the source keep to the style that a machine can check?
mod tidy;
/// Is what clients say encrypted, with a certificate that can be renewed, and is nothing lost over it?
mod tls;
/// Does a collector of traces get the calls it should, in a form it understands, and does it cost none if it does not?
#[cfg(feature = "otlp")]
mod traces;
/// Is everything as the SDK of most clients expects it?
mod trimphone;
/// Does a call to a sleeping agent wake it, and does everybody learn how that went?
mod wake;
/// Does the framing pass the cases of the public WebSocket suites?
mod websocket_conformance;

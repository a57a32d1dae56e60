//! Files of call records, for tests that need one without placing calls.

use std::path::Path;
use std::time::Duration;

use systemx::store::records::{CallRecords, Retention, Settings};
use systemx::store::{CallMode, CallRecord, Dialect, EndedBy, Volume};

/// How long a busy machine may take for some ten thousand records.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fills a file with so many records of the same moment.
pub fn fill(file: &Path, count: usize, ended_at_ms: u64) {
    let records = CallRecords::start(Settings {
        path: file.to_owned(),
        node: "seed.test".into(),
        retention: Retention { days: 36_500, bytes_max: 1 << 40 },
        clock_unix_ms: || 1_800_000_000_000,
    });
    let records = records.expect("the file can be made");
    for number in 0..count {
        records.handle().record(&CallRecord {
            call_id: &*format!("seed-{number}"),
            from: "alice@example.test",
            to: "bob@example.test",
            mode: CallMode::Single,
            started_at_ms: ended_at_ms,
            answered_at_ms: None,
            ended_at_ms,
            end_reason: "timeout",
            ended_by: EndedBy::Exchange,
            dialect: Dialect::Systemx,
            ring_us: None,
            answer_us: None,
            talk_us: None,
            to_callee: Volume::default(),
            to_caller: Volume::default(),
            forwarded: None,
            link: None,
        });
    }
    let state = records.stop(PATIENCE);
    assert_eq!((state.kept, state.lost), (count as u64, 0));
}

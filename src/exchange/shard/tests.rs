//! Tests of the shard: events in, effects out.

//! Where a delivery is listed: the partitions of the index by provider, day and shard.

use domain::{DeliveryId, ProviderId, id::spread};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// How many partitions the deliveries of a provider and a day are spread over. A page of the list asks all of them.
pub(super) const SHARDS: u32 = 8;

/// Where a record is listed.
pub(crate) fn partition(provider: &ProviderId, delivery_id: &DeliveryId, received_at: Timestamp) -> String {
    listed_in(provider, day(received_at.as_millisecond()), delivery_id)
}

/// Where a delivery of a day is listed.
pub(super) fn listed_in(provider: &ProviderId, day: Date, delivery_id: &DeliveryId) -> String {
    shard(provider, day, spread(delivery_id.as_str()) % SHARDS)
}

pub(super) fn shard(provider: &ProviderId, day: Date, shard: u32) -> String {
    format!("{provider}#{day}#{shard}")
}

/// The day of a time in milliseconds, UTC. A time out of range belongs to the last or first day there is.
pub(super) fn day(milliseconds: i64) -> Date {
    let edge = if milliseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(milliseconds).unwrap_or(edge).to_zoned(TimeZone::UTC).date()
}

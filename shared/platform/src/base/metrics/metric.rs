//! The metrics that functions write: a closed set, each with its name and unit in CloudWatch.

/// A metric; its name in CloudWatch is [`name`](Self::name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Calls that were made to a provider.
    Calls,
    /// Those that failed through the provider: its trouble, its limits, a grant that is over.
    CallFailures,
    /// Those that were too many, as the provider said.
    CallsLimited,
    /// Those that were not made, because a limit left them no turn.
    CallsThrottledLocally,
    /// How long calls took, in milliseconds.
    CallDuration,
    /// How long calls waited for their turn under a rate limit, in milliseconds.
    CallPaced,
    /// Events that were applied.
    EventsApplied,
    /// Genuine events of accounts that no integration has.
    EventsUnmatched,
    /// Deliveries of events that were applied already.
    EventsRepeated,
    /// Messages of any queue that were given up, by reason.
    EventsDeadLettered,
    /// Invocations by a schedule that succeeded, by schedule.
    SchedulesDone,
    /// Tokens that a token endpoint gave in place of others, by provider.
    Refreshes,
    /// Watches that end within two days and whose renewal was refused once more.
    WatchesEnding,
    /// Refreshes that failed: the user ended the grant, or the provider or the way there does not work; by provider.
    RefreshFailures,
    /// Failures that an operator must repair, or that show damage, by reason.
    OperatorFailures,
    /// Deliveries that were refused, by reason.
    DeliveriesRefused,
    /// Checks of an address by which a provider tells of no event, and which prove nothing.
    DeliveriesProbed,
    /// Deliveries that the provider sent again because an answer was late, or a failure.
    DeliveriesRetried,
}

impl Metric {
    /// Every metric, for the test of the template.
    pub const ALL: [Self; 18] = [
        Self::OperatorFailures,
        Self::Calls,
        Self::CallFailures,
        Self::CallsLimited,
        Self::CallsThrottledLocally,
        Self::EventsApplied,
        Self::EventsUnmatched,
        Self::EventsRepeated,
        Self::EventsDeadLettered,
        Self::SchedulesDone,
        Self::WatchesEnding,
        Self::Refreshes,
        Self::RefreshFailures,
        Self::DeliveriesRefused,
        Self::DeliveriesProbed,
        Self::DeliveriesRetried,
        Self::CallDuration,
        Self::CallPaced,
    ];

    /// The name in CloudWatch.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "Calls",
            Self::CallFailures => "CallFailures",
            Self::CallsLimited => "CallsLimited",
            Self::CallsThrottledLocally => "CallsThrottledLocally",
            Self::EventsApplied => "EventsApplied",
            Self::EventsUnmatched => "EventsUnmatched",
            Self::EventsRepeated => "EventsRepeated",
            Self::EventsDeadLettered => "EventsDeadLettered",
            Self::SchedulesDone => "SchedulesDone",
            Self::WatchesEnding => "WatchesEnding",
            Self::Refreshes => "Refreshes",
            Self::RefreshFailures => "RefreshFailures",
            Self::OperatorFailures => "OperatorFailures",
            Self::DeliveriesRefused => "DeliveriesRefused",
            Self::DeliveriesProbed => "DeliveriesProbed",
            Self::DeliveriesRetried => "DeliveriesRetried",
            Self::CallDuration => "CallDuration",
            Self::CallPaced => "CallPaced",
        }
    }

    /// Whether the sum over the values of its dimension is a metric, too: an alarm is on it. Each metric costs $0.30 a month while it is
    /// written (<https://aws.amazon.com/cloudwatch/pricing/>, read 2026-11).
    pub(super) const fn is_summed(self) -> bool {
        match self {
            Self::CallFailures | Self::RefreshFailures | Self::OperatorFailures | Self::DeliveriesRefused => true,
            Self::Calls
            | Self::CallsLimited
            | Self::CallsThrottledLocally
            | Self::CallDuration
            | Self::CallPaced
            | Self::EventsApplied
            | Self::EventsUnmatched
            | Self::EventsRepeated
            | Self::EventsDeadLettered
            | Self::SchedulesDone
            | Self::WatchesEnding
            | Self::Refreshes
            | Self::DeliveriesProbed
            | Self::DeliveriesRetried => false,
        }
    }

    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::CallDuration | Self::CallPaced => "Milliseconds",
            Self::Calls
            | Self::CallFailures
            | Self::CallsLimited
            | Self::CallsThrottledLocally
            | Self::EventsApplied
            | Self::EventsUnmatched
            | Self::EventsRepeated
            | Self::EventsDeadLettered
            | Self::SchedulesDone
            | Self::WatchesEnding
            | Self::Refreshes
            | Self::RefreshFailures
            | Self::OperatorFailures
            | Self::DeliveriesRefused
            | Self::DeliveriesProbed
            | Self::DeliveriesRetried => "Count",
        }
    }
}

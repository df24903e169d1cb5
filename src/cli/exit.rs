/// How a command ended, with the numbers of iptables (`include/xtables.h`, `enum xtables_exittype`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or found.
    Success = 0,
    /// Not found, or not to be written.
    Failure = 1,
    /// The words are wrong, or name what is not there.
    Usage = 2,
    /// This host's Docker does not filter here.
    Unsupported = 3,
    /// The kernel refused, there is no permission, or netfilter can't be reached.
    Resource = 4,
    /// `plan` has something to do; `status` found what is not as it should be, `list` that packets pass.
    Pending = 5,
    /// A policy on trial was not confirmed: what stood before holds.
    TakenBack = 6,
    /// The policy is written, but something of the host keeps it from being in force.
    NotInForce = 7,
    /// Done, but what was to be printed could not be written.
    Unwritten = 8,
}

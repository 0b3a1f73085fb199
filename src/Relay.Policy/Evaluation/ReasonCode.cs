namespace Relay.Policy;

/// <summary>Why a decision, or one clause of a policy, came out as it did. The texts of <see cref="ReasonCodes.ToText"/> are API.</summary>
public enum ReasonCode
{
    /// <summary>Nobody evaluated anything: the value of <c>default(Decision)</c>.</summary>
    NotEvaluated = 0,

    /// <summary>A policy allows it; for a clause: it is met.</summary>
    Allowed,

    /// <summary>The request itself makes no sense (empty or oversized command, port out of range, unknown action).</summary>
    InvalidRequest,

    /// <summary>The socket's type has no permission in the schema.</summary>
    UnknownSocketType,

    /// <summary>The action does not exist on this type of socket.</summary>
    ActionNotApplicable,

    /// <summary>No policy applies to the socket.</summary>
    NoPolicyForSocket,

    /// <summary>Policies apply to the socket, none allows the request. A decision has the code of a clause instead when that clause is all that keeps a policy for this person from allowing it.</summary>
    NoPolicyAllows,

    /// <summary>The policy does not permit the action: its key is missing, or (sockets that are not SSH) its list is empty.</summary>
    PermissionMissing,

    /// <summary>No pattern of <c>exec.commands</c> matches; an empty list has none.</summary>
    CommandNotAllowed,

    /// <summary>No entry of <c>tcp_forwarding.allowed_connections</c> matches; an empty list has none.</summary>
    DestinationNotAllowed,

    /// <summary>The upstream user name is not in <c>allowed_usernames</c>, or none was given.</summary>
    UsernameNotAllowed,

    /// <summary>The session is older than <c>max_session_duration_seconds</c>.</summary>
    SessionTooLong,

    /// <summary><c>condition.who</c> does not name the subject.</summary>
    WhoNotMatched,

    /// <summary>The client's address is outside <c>where.allowed_ip</c>.</summary>
    IpNotAllowed,

    /// <summary>The client's country is not in <c>where.country</c>.</summary>
    CountryNotAllowed,

    /// <summary>The client's country is in <c>where.country_not</c>.</summary>
    CountryExcluded,

    /// <summary>The policy restricts countries and the client's is unknown.</summary>
    CountryUnknown,

    /// <summary>Now is before <c>when.after</c>.</summary>
    NotYet,

    /// <summary>Now is at or after <c>when.before</c>.</summary>
    NoLonger,

    /// <summary>Now is outside the daily window.</summary>
    OutsideTimeOfDay,

    /// <summary>A v1 policy depends on an integration, which this evaluator cannot ask.</summary>
    IntegrationNotSupported,
}

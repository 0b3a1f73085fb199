namespace Relay.Policy;

/// <summary>The stable texts of <see cref="ReasonCode"/>.</summary>
public static class ReasonCodes
{
    /// <summary>snake_case name for records, metrics and the API; never changes once released.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not one of the enumeration.</exception>
    public static string ToText(this ReasonCode code) => code switch
    {
        ReasonCode.NotEvaluated => "not_evaluated",
        ReasonCode.Allowed => "allowed",
        ReasonCode.InvalidRequest => "invalid_request",
        ReasonCode.UnknownSocketType => "unknown_socket_type",
        ReasonCode.ActionNotApplicable => "action_not_applicable",
        ReasonCode.NoPolicyForSocket => "no_policy_for_socket",
        ReasonCode.NoPolicyAllows => "no_policy_allows",
        ReasonCode.PermissionMissing => "permission_missing",
        ReasonCode.CommandNotAllowed => "command_not_allowed",
        ReasonCode.DestinationNotAllowed => "destination_not_allowed",
        ReasonCode.UsernameNotAllowed => "username_not_allowed",
        ReasonCode.SessionTooLong => "session_too_long",
        ReasonCode.WhoNotMatched => "who_not_matched",
        ReasonCode.IpNotAllowed => "ip_not_allowed",
        ReasonCode.CountryNotAllowed => "country_not_allowed",
        ReasonCode.CountryExcluded => "country_excluded",
        ReasonCode.CountryUnknown => "country_unknown",
        ReasonCode.NotYet => "not_yet",
        ReasonCode.NoLonger => "no_longer",
        ReasonCode.OutsideTimeOfDay => "outside_time_of_day",
        ReasonCode.IntegrationNotSupported => "integration_not_supported",
        _ => throw new ArgumentOutOfRangeException(nameof(code), code, "Not a reason code."),
    };
}

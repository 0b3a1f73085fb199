namespace Relay.Silo.Storage;

/// <summary>Who does something, from where, in which request: what the audit trail says about it.</summary>
/// <param name="UserId">Null: nobody who is known (a failed login, the silo itself).</param>
/// <param name="Email">Empty when not known; "system" for the silo itself.</param>
/// <param name="Ip">Address of the request's peer; empty when there was none.</param>
internal sealed record Actor(Guid OrganizationId, Guid? UserId, string Email, string Ip, string RequestId)
{
    /// <summary>The silo itself.</summary>
    public static Actor System(Guid organizationId) => new(organizationId, null, "system", "", "");
}

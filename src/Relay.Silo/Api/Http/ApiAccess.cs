using System.Collections.Frozen;

namespace Relay.Silo.Api.Http;

/// <summary>Who may call an endpoint.</summary>
[Flags]
internal enum Roles
{
    None = 0,
    Client = 1,
    ReadOnly = 2,
    Member = 4,
    Admin = 8,

    /// <summary>Without a token; only for the login.</summary>
    Anyone = 16,

    Everyone = Client | ReadOnly | Member | Admin,
    Readers = ReadOnly | Member | Admin,
    Auditors = ReadOnly | Admin,
    Editors = Member | Admin,
}

/// <summary>
/// The one table of who may do what. An endpoint that is not in it cannot be mapped, an entry without an endpoint stops the start.
/// A member keeps connectors and sockets but writes no policy, user or group: whoever does grants access, and nobody grants to
/// themselves (L23). Where a line says Everyone, the endpoint itself shows callers only what is theirs.
/// </summary>
internal static class ApiAccess
{
    private static readonly FrozenDictionary<string, Roles> Table = new Dictionary<string, Roles>
    {
        ["POST /login"] = Roles.Anyone,
        ["POST /logout"] = Roles.Everyone,
        ["GET /me"] = Roles.Everyone,
        ["PUT /me/password"] = Roles.Everyone,
        ["GET /me/ssh_keys"] = Roles.Everyone,
        ["POST /me/ssh_keys"] = Roles.Everyone,
        ["DELETE /me/ssh_keys/{key}"] = Roles.Everyone,

        ["GET /organization"] = Roles.Readers,
        ["PATCH /organization"] = Roles.Admin,
        ["GET /organization/ssh_setup"] = Roles.Readers,

        ["GET /devices"] = Roles.Everyone,
        ["POST /devices"] = Roles.Everyone,
        ["GET /devices/{device}"] = Roles.Everyone,
        ["PATCH /devices/{device}"] = Roles.Everyone,
        ["DELETE /devices/{device}"] = Roles.Everyone,
        ["POST /devices/{device}/renew"] = Roles.Everyone,

        ["GET /users"] = Roles.Readers,
        ["POST /users"] = Roles.Admin,
        ["GET /users/{user}"] = Roles.Readers,
        ["PATCH /users/{user}"] = Roles.Admin,
        ["DELETE /users/{user}"] = Roles.Admin,
        ["GET /users/{user}/ssh_keys"] = Roles.Readers,
        ["POST /users/{user}/ssh_keys"] = Roles.Admin,
        ["DELETE /users/{user}/ssh_keys/{key}"] = Roles.Admin,

        ["GET /groups"] = Roles.Readers,
        ["POST /groups"] = Roles.Admin,
        ["GET /groups/{group}"] = Roles.Readers,
        ["PATCH /groups/{group}"] = Roles.Admin,
        ["DELETE /groups/{group}"] = Roles.Admin,
        ["PUT /groups/{group}/members/{user}"] = Roles.Admin,
        ["DELETE /groups/{group}/members/{user}"] = Roles.Admin,

        ["GET /connectors"] = Roles.Readers,
        ["POST /connectors"] = Roles.Editors,
        ["GET /connectors/{connector}"] = Roles.Readers,
        ["PATCH /connectors/{connector}"] = Roles.Editors,
        ["DELETE /connectors/{connector}"] = Roles.Editors,
        ["GET /connectors/{connector}/tokens"] = Roles.Readers,
        ["POST /connectors/{connector}/tokens"] = Roles.Editors,
        ["GET /connector_tokens"] = Roles.Readers,
        ["DELETE /connector_tokens/{token}"] = Roles.Editors,

        ["GET /gateway_tokens"] = Roles.Auditors,
        ["POST /gateway_tokens"] = Roles.Admin,
        ["DELETE /gateway_tokens/{token}"] = Roles.Admin,

        ["GET /sockets"] = Roles.Readers,
        ["POST /sockets"] = Roles.Editors,
        ["GET /sockets/{socket}"] = Roles.Readers,
        ["PATCH /sockets/{socket}"] = Roles.Editors,
        ["DELETE /sockets/{socket}"] = Roles.Editors,
        ["GET /sockets/{socket}/policies"] = Roles.Readers,
        ["PUT /sockets/{socket}/policies"] = Roles.Admin,
        ["POST /sockets/{socket}/evaluate"] = Roles.Readers,

        ["GET /policies"] = Roles.Readers,
        ["POST /policies"] = Roles.Admin,
        ["GET /policies/{policy}"] = Roles.Readers,
        ["PATCH /policies/{policy}"] = Roles.Admin,
        ["DELETE /policies/{policy}"] = Roles.Admin,
        ["GET /policies/{policy}/sockets"] = Roles.Readers,
        ["PUT /policies/{policy}/sockets"] = Roles.Admin,
        ["POST /policies/{policy}/test"] = Roles.Readers,

        ["GET /sessions"] = Roles.Everyone,
        ["POST /sessions/kill"] = Roles.Admin,
        ["GET /sessions/{session}"] = Roles.Everyone,
        ["POST /sessions/{session}/kill"] = Roles.Everyone,
        ["GET /sessions/{session}/recordings"] = Roles.Everyone,
        ["GET /sessions/{session}/recordings/{recording}"] = Roles.Everyone,

        ["GET /audit_events"] = Roles.Auditors,

        ["GET /client/resources"] = Roles.Everyone,
        ["POST /client/ssh_certificate"] = Roles.Everyone,
        ["GET /client/gateways"] = Roles.Everyone,
    }.ToFrozenDictionary();

    /// <summary>All entries, "METHOD /path" without the base.</summary>
    public static IReadOnlyDictionary<string, Roles> All => Table;

    /// <exception cref="InvalidOperationException">The endpoint is not in the table.</exception>
    public static Roles For(string method, string pattern) =>
        Table.TryGetValue($"{method} {pattern}", out var roles) ? roles : throw new InvalidOperationException($"{method} {pattern} has no entry in the access table");

    public static Roles Parse(string role) => role switch
    {
        "admin" => Roles.Admin,
        "member" => Roles.Member,
        "read_only" => Roles.ReadOnly,
        "client" => Roles.Client,
        _ => Roles.None,
    };
}

/// <summary>Endpoint metadata: the roles the table gives it.</summary>
internal sealed record AccessRule(Roles Roles);

namespace Relay.Api;

/// <summary>Paths of the API. Where a path names something, an id or a name will do (escape it).</summary>
public static class ApiRoutes
{
    public const string Base = "/api/v1";

    /// <summary>POST <see cref="LoginRequest"/> → <see cref="LoginResponse"/>; the only route without a token.</summary>
    public const string Login = Base + "/login";

    /// <summary>POST → 204.</summary>
    public const string Logout = Base + "/logout";

    /// <summary>GET → <see cref="Api.Me"/>.</summary>
    public const string Me = Base + "/me";

    /// <summary>PUT <see cref="PasswordChange"/> → 204.</summary>
    public const string MePassword = Me + "/password";

    /// <summary>GET page of <see cref="SshKeyResource"/>, POST <see cref="SshKeyCreate"/>, DELETE …/{key id or fingerprint}: the caller's own.</summary>
    public const string MeSshKeys = Me + "/ssh_keys";

    /// <summary>GET, PATCH <see cref="OrganizationUpdate"/> → <see cref="OrganizationResource"/>.</summary>
    public const string Organization = Base + "/organization";

    /// <summary>GET → text/plain: an idempotent shell script for a target's sshd.</summary>
    public const string SshSetup = Organization + "/ssh_setup";

    /// <summary>GET, POST <see cref="DeviceCreate"/>; …/{device}: GET, PATCH <see cref="DeviceUpdate"/>, DELETE revokes; …/{device}/renew: POST → <see cref="DeviceResource"/>.</summary>
    public const string Devices = Base + "/devices";

    /// <summary>GET, POST <see cref="UserCreate"/>; …/{user}: GET, PATCH <see cref="UserUpdate"/>, DELETE; …/{user}/ssh_keys as <see cref="MeSshKeys"/>.</summary>
    public const string Users = Base + "/users";

    /// <summary>GET, POST <see cref="GroupWrite"/>; …/{group}: GET, PATCH, DELETE; …/{group}/members/{user}: PUT, DELETE → <see cref="GroupResource"/>.</summary>
    public const string Groups = Base + "/groups";

    /// <summary>GET, POST <see cref="ConnectorWrite"/>; …/{connector}: GET, PATCH, DELETE; …/{connector}/tokens: GET, POST <see cref="TokenCreate"/>.</summary>
    public const string Connectors = Base + "/connectors";

    /// <summary>GET all; …/{id}: DELETE revokes → <see cref="ConnectorTokenResource"/>.</summary>
    public const string ConnectorTokens = Base + "/connector_tokens";

    /// <summary>GET, POST <see cref="TokenCreate"/>; …/{id}: DELETE revokes → <see cref="GatewayTokenResource"/>.</summary>
    public const string GatewayTokens = Base + "/gateway_tokens";

    /// <summary>GET, POST <see cref="SocketCreate"/>; …/{socket}: GET, PATCH <see cref="SocketUpdate"/>, DELETE; …/{socket}/policies: GET, PUT <see cref="AttachmentChanges"/>; …/{socket}/evaluate: POST <see cref="SocketEvaluateRequest"/>.</summary>
    public const string Sockets = Base + "/sockets";

    /// <summary>GET, POST <see cref="PolicyWrite"/>; …/{policy}: GET, PATCH, DELETE; …/{policy}/sockets: GET, PUT <see cref="AttachmentChanges"/>; …/{policy}/test: POST <see cref="PolicyTestRequest"/>.</summary>
    public const string Policies = Base + "/policies";

    /// <summary>GET; …/{id}: GET; …/{id}/kill: POST → <see cref="SessionKillResult"/>; …/{id}/recordings: GET; …/{id}/recordings/{no}: GET → asciicast v2 lines.</summary>
    public const string Sessions = Base + "/sessions";

    /// <summary>POST <see cref="Api.SessionKill"/> → <see cref="SessionKillResult"/>.</summary>
    public const string SessionsKill = Sessions + "/kill";

    /// <summary>GET page of <see cref="AuditEvent"/>.</summary>
    public const string AuditEvents = Base + "/audit_events";

    /// <summary>GET page of <see cref="ClientResource"/>.</summary>
    public const string ClientResources = Base + "/client/resources";

    /// <summary>POST <see cref="SshCertificateRequest"/> → <see cref="SshCertificateResponse"/>.</summary>
    public const string ClientSshCertificate = Base + "/client/ssh_certificate";

    /// <summary>GET → <see cref="Api.ClientGateways"/>.</summary>
    public const string ClientGateways = Base + "/client/gateways";
}

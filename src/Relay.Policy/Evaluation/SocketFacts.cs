namespace Relay.Policy;

/// <summary>What policy has to know about a socket. Immutable.</summary>
/// <param name="Id">Socket id: what policies are attached to; copied into the grant.</param>
/// <param name="Name">For texts only.</param>
/// <param name="SocketType">"ssh", "database", "http", "tls", "tcp" (same as tls), "udp" (under the permission tls), "vnc", "rdp", "vpn", "subnet_router", "exit_node", "kubernetes", "aws_s3" or "aws_access". Any other value is denied.</param>
/// <param name="Tags">For tag rules; keys and values are compared exactly.</param>
/// <param name="DefinedUsername">The upstream user name the socket itself sets; then <c>allowed_usernames</c> does not count. Empty: the socket sets the user without naming one (the connector's own user). Null: the client chooses.</param>
public sealed record SocketFacts(Guid Id, string Name, string SocketType, IReadOnlyDictionary<string, string> Tags, string? DefinedUsername);

namespace Relay.Protocol.Ssh;

/// <summary>One attempt of a client to authenticate. Says who the client claims to be; only the outcome says who it is (L4).</summary>
/// <param name="User">Login name as sent, UTF-8, at most 1024 bytes. Never an identity by itself.</param>
/// <param name="Method">RFC 4252 method name: "publickey", or "none" where <see cref="SshServerOptions.AsksAboutNone"/> says so.</param>
/// <param name="Key">The key offered; with a certificate, the certified key. Null: method "none".</param>
/// <param name="Certificate">Null for a plain key. Its signature, dates and principals are NOT checked yet.</param>
/// <param name="ClientVersion">The client's identification string.</param>
public sealed record SshAuthRequest(string User, string Method, SshPublicKey? Key, SshCertificate? Certificate, string ClientVersion);

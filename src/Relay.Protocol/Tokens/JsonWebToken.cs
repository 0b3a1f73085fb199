using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.Tokens;

// What: JSON Web Tokens signed with Ed25519.
// References: RFC 7519, RFC 7515 §7.1 (compact form), RFC 8037 §3.1 (EdDSA).
// Parameters: at most 16 KiB of text; header {alg: EdDSA, typ: JWT, kid}. No other algorithm is ever accepted, so a
//   token cannot choose how it is checked (RFC 8725 §3.1).
// Failure: "false" for whatever is not such a token.

/// <summary>
/// A token whose form has been checked. Its claims prove nothing until <see cref="VerifySignature"/> said true and the
/// caller compared issuer, type and expiry. Immutable, safe for concurrent use. The text is a secret: never log it.
/// </summary>
public sealed class JsonWebToken
{
    /// <summary>Longest token that is looked at, in characters.</summary>
    public const int MaximumLength = 16 * 1024;

    private const string Algorithm = "EdDSA";

    private readonly byte[] _signingInput;
    private readonly byte[] _signature;

    private JsonWebToken(byte[] signingInput, byte[] signature, string? keyId, JsonWebTokenClaims claims)
    {
        _signingInput = signingInput;
        _signature = signature;
        KeyId = keyId;
        Claims = claims;
    }

    /// <summary>The header's <c>kid</c>: <see cref="ThumbprintOf"/> of the signing key. Null when absent.</summary>
    public string? KeyId { get; }

    /// <summary>The claims.</summary>
    public JsonWebTokenClaims Claims { get; }

    /// <summary><c>iss</c>: the grid's id.</summary>
    public string Issuer => Claims.Issuer;

    /// <summary><c>type</c>: connector, gateway or user.</summary>
    public string Type => Claims.Type;

    /// <summary><c>org_id</c>. Null when absent.</summary>
    public Guid? OrganizationId => Claims.OrganizationId;

    /// <summary><c>jti</c>: the id of the token's row. Null when absent.</summary>
    public Guid? TokenId => Claims.TokenId;

    /// <summary><c>iat</c>.</summary>
    public DateTimeOffset IssuedAt => Claims.IssuedAt;

    /// <summary><c>exp</c>. Null means never.</summary>
    public DateTimeOffset? ExpiresAt => Claims.ExpiresAt;

    /// <summary><c>sub</c>: the user's id in user tokens. Null when absent.</summary>
    public string? Subject => Claims.Subject;

    /// <summary><c>connector_id</c> in connector tokens. Null when absent.</summary>
    public Guid? ConnectorId => Claims.ConnectorId;

    /// <summary><c>ca</c>: hex SHA-256 of the grid CA certificate's SubjectPublicKeyInfo. Null when absent.</summary>
    public string? GridCaHash => Claims.GridCaHash;

    /// <summary><c>silos</c>: host:port of the addresses to dial. Empty when absent.</summary>
    public IReadOnlyList<string> Silos => Claims.Silos;

    /// <summary>The token with these claims, signed; <c>kid</c> is the key's <see cref="ThumbprintOf"/>.</summary>
    /// <exception cref="ArgumentException">The claims are none that <see cref="TryParse"/> takes: <c>iss</c>, <c>type</c> or <c>iat</c> is missing, one is of the wrong type, or they are too long.</exception>
    public static string Create(Ed25519PrivateKey key, JsonObject claims)
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(claims);
        var header = new JsonObject { ["alg"] = Algorithm, ["typ"] = "JWT", ["kid"] = ThumbprintOf(key.PublicKey.Span) };
        string signingInput = Encode(header) + "." + Encode(claims);
        string token = signingInput + "." + Base64Url.EncodeToString(key.Sign(Encoding.ASCII.GetBytes(signingInput)));
        return TryParse(token, out _) ? token : throw new ArgumentException("The claims do not make a token.", nameof(claims));
    }

    /// <summary>
    /// Checks form and bounds only, not the signature. False for anything but three strict base64url parts, a header
    /// with <c>alg</c> EdDSA and no <c>crit</c>, and claims of the types that the properties here state.
    /// </summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out JsonWebToken? token)
    {
        token = null;
        if (text is null || text.Length > MaximumLength) return false;
        int first = text.IndexOf('.', StringComparison.Ordinal);
        int second = first < 0 ? -1 : text.IndexOf('.', first + 1);
        if (second < 0) return false;
        ReadOnlySpan<char> span = text;
        if (!Base64UrlText.TryDecode(span[..first], out byte[]? header)
            || !Base64UrlText.TryDecode(span[(first + 1)..second], out byte[]? payload)
            || !Base64UrlText.TryDecode(span[(second + 1)..], out byte[]? signature)
            || signature.Length != Ed25519.SignatureLength
            || !TryReadHeader(header, out string? keyId)
            || !JsonWebTokenClaims.TryRead(payload, out JsonWebTokenClaims? claims)) return false;

        token = new JsonWebToken(Encoding.ASCII.GetBytes(text, 0, second), signature, keyId, claims);
        return true;
    }

    /// <summary>True only when the token was signed by the key of this public key (32 bytes).</summary>
    public bool VerifySignature(ReadOnlySpan<byte> publicKey32) => Ed25519.Verify(publicKey32, _signingInput, _signature);

    /// <summary>True from the second of <see cref="ExpiresAt"/> on; never when that is null.</summary>
    public bool IsExpired(DateTimeOffset now) => now >= ExpiresAt;

    /// <summary>The JWK thumbprint of an Ed25519 public key (RFC 8037 §2, RFC 7638), base64url.</summary>
    public static string ThumbprintOf(ReadOnlySpan<byte> publicKey32)
    {
        // The members in lexical order and without white space: RFC 7638 §3.
        string jwk = $$"""{"crv":"Ed25519","kty":"OKP","x":"{{Base64Url.EncodeToString(publicKey32)}}"}""";
        return Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(jwk)));
    }

    private static bool TryReadHeader(byte[] json, out string? keyId)
    {
        keyId = null;
        if (!JsonWebTokenClaims.TryParseObject(json, out JsonDocument? document)) return false;
        using (document)
        {
            JsonElement header = document.RootElement;
            // RFC 7515 §4.1.11: an extension that must be understood; none is.
            if (header.TryGetProperty("crit", out _)) return false;
            return JsonWebTokenClaims.TryGetText(header, "alg", out string? algorithm) && algorithm == Algorithm
                && JsonWebTokenClaims.TryGetText(header, "typ", out string? type) && type is null or "JWT"
                && JsonWebTokenClaims.TryGetText(header, "kid", out keyId);
        }
    }

    private static string Encode(JsonObject value) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(value.ToJsonString()));
}

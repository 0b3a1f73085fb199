using System.Buffers.Text;
using System.Text;
using System.Text.Json.Nodes;
using Relay.Protocol.Crypto;
using Relay.Protocol.Tokens;

namespace Relay.Tests.Protocol.Tokens;

public sealed class JsonWebTokenTests : IDisposable
{
    private static readonly Guid Organization = Guid.Parse("5f0c9a52-0d1e-4c49-8a39-5f3f6a2f9b11"), Id = Guid.Parse("7a3d2b8e-1111-4222-8333-94a5b6c7d8e9");

    private readonly Ed25519PrivateKey _key = Ed25519PrivateKey.Generate();

    [Fact]
    public void Token_says_what_was_put_in()
    {
        JsonObject claims = Claims();
        claims["connector_id"] = Id.ToString();
        claims["sub"] = "user";
        claims["ca"] = "ab12";
        claims["silos"] = new JsonArray("a:7444", "b:7444");
        claims["exp"] = 1_780_000_100;
        claims["extra"] = "more";
        Assert.True(JsonWebToken.TryParse(JsonWebToken.Create(_key, claims), out JsonWebToken? token));
        Assert.True(token.VerifySignature(_key.PublicKey.Span));
        Assert.Equal("grid", token.Issuer);
        Assert.Equal("connector", token.Type);
        Assert.Equal(Organization, token.OrganizationId);
        Assert.Equal(Id, token.TokenId);
        Assert.Equal(Id, token.ConnectorId);
        Assert.Equal("user", token.Subject);
        Assert.Equal("ab12", token.GridCaHash);
        Assert.Equal(["a:7444", "b:7444"], token.Silos);
        Assert.Equal(DateTimeOffset.FromUnixTimeSeconds(1_780_000_000), token.IssuedAt);
        Assert.Equal("more", token.Claims.GetText("extra"));
        Assert.Null(token.Claims.GetText("iat"));
        Assert.Equal(JsonWebToken.ThumbprintOf(_key.PublicKey.Span), token.KeyId);
        Assert.False(token.IsExpired(DateTimeOffset.FromUnixTimeSeconds(1_780_000_099)));
        Assert.True(token.IsExpired(DateTimeOffset.FromUnixTimeSeconds(1_780_000_100)));
    }

    [Fact]
    public void Absent_optional_claims_are_null_and_absent_expiry_is_never()
    {
        Assert.True(JsonWebToken.TryParse(JsonWebToken.Create(_key, new JsonObject { ["iss"] = "g", ["type"] = "user", ["iat"] = 0 }), out JsonWebToken? token));
        Assert.Null(token.OrganizationId);
        Assert.Null(token.TokenId);
        Assert.Null(token.ConnectorId);
        Assert.Null(token.Subject);
        Assert.Null(token.GridCaHash);
        Assert.Null(token.ExpiresAt);
        Assert.Empty(token.Silos);
        Assert.False(token.IsExpired(DateTimeOffset.MaxValue));
    }

    // RFC 8037 §A.3: the thumbprint of the key of §A.1.
    [Fact]
    public void Key_id_is_the_published_thumbprint()
    {
        byte[] publicKey = Base64Url.DecodeFromChars("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        Assert.Equal("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", JsonWebToken.ThumbprintOf(publicKey));
    }

    // RFC 8037 §A.4: the signature of the key of §A.1 over "Example of Ed25519 signing" under {"alg":"EdDSA"}.
    [Fact]
    public void Signature_is_the_published_one()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(Base64Url.DecodeFromChars("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"));
        byte[] signature = key.Sign("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"u8);
        Assert.Equal("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", Base64Url.EncodeToString(signature));
    }

    [Fact]
    public void Every_changed_character_is_noticed()
    {
        string good = JsonWebToken.Create(_key, Claims());
        foreach (char replacement in "A_9.=")
        {
            for (int i = 0; i < good.Length; i++)
            {
                if (good[i] == replacement) continue;
                string bad = good[..i] + replacement + good[(i + 1)..];
                Assert.False(JsonWebToken.TryParse(bad, out JsonWebToken? token) && token.VerifySignature(_key.PublicKey.Span), $"character {i}");
            }
        }
    }

    [Fact]
    public void Another_keys_token_does_not_verify()
    {
        using Ed25519PrivateKey other = Ed25519PrivateKey.Generate();
        Assert.True(JsonWebToken.TryParse(JsonWebToken.Create(_key, Claims()), out JsonWebToken? token));
        Assert.False(token.VerifySignature(other.PublicKey.Span));
        Assert.False(token.VerifySignature([]));
    }

    [Theory]
    [InlineData("""{"alg":"none","typ":"JWT"}""")]
    [InlineData("""{"alg":"None"}""")]
    [InlineData("""{"alg":"eddsa"}""")]
    [InlineData("""{"alg":"HS256"}""")]
    [InlineData("""{"alg":"ES256"}""")]
    [InlineData("""{"alg":["EdDSA"]}""")]
    [InlineData("""{"typ":"JWT"}""")]
    [InlineData("""{"alg":"EdDSA","alg":"EdDSA"}""")]
    [InlineData("""{"alg":"EdDSA","crit":["exp"]}""")]
    [InlineData("""{"alg":"EdDSA","typ":"JWE"}""")]
    [InlineData("""{"alg":"EdDSA","kid":1}""")]
    [InlineData("""["EdDSA"]""")]
    [InlineData("EdDSA")]
    [InlineData("")]
    public void Header_that_is_not_exactly_ours_is_refused(string header) =>
        Assert.False(JsonWebToken.TryParse(Sign(header, Claims().ToJsonString()), out _));

    [Fact]
    public void Header_with_the_algorithm_alone_is_enough() =>
        Assert.True(JsonWebToken.TryParse(Sign("""{"alg":"EdDSA"}""", Claims().ToJsonString()), out _));

    [Theory]
    [InlineData("iss", "null")]
    [InlineData("iss", "1")]
    [InlineData("type", "[]")]
    [InlineData("iat", "\"1780000000\"")]
    [InlineData("iat", "1.5")]
    [InlineData("iat", "-1")]
    [InlineData("iat", "253402300800")]
    [InlineData("iat", "1e400")]
    [InlineData("exp", "null")]
    [InlineData("exp", "\"never\"")]
    [InlineData("org_id", "\"not a guid\"")]
    [InlineData("org_id", "\"{5f0c9a52-0d1e-4c49-8a39-5f3f6a2f9b11}\"")]
    [InlineData("org_id", "null")]
    [InlineData("jti", "7")]
    [InlineData("connector_id", "\"\"")]
    [InlineData("silos", "\"a:1\"")]
    [InlineData("silos", "[1]")]
    [InlineData("sub", "{}")]
    [InlineData("ca", "false")]
    [InlineData("other", "\"\\ud800\"")]
    [InlineData("\\ud800", "\"x\"")]
    public void Claim_of_a_wrong_type_is_refused(string name, string json)
    {
        string others = string.Join(',', Claims().Where(c => c.Key != name).Select(c => $"\"{c.Key}\":{c.Value!.ToJsonString()}"));
        Assert.True(JsonWebToken.TryParse(Sign("""{"alg":"EdDSA"}""", $"{{{string.Join(',', Claims().Select(c => $"\"{c.Key}\":{c.Value!.ToJsonString()}"))}}}"), out _));
        Assert.False(JsonWebToken.TryParse(Sign("""{"alg":"EdDSA"}""", $"{{{others},\"{name}\":{json}}}"), out _));
    }

    [Theory]
    [InlineData("iss")]
    [InlineData("type")]
    [InlineData("iat")]
    public void Missing_claim_is_refused_when_reading_and_when_making(string name)
    {
        JsonObject claims = Claims();
        claims.Remove(name);
        Assert.False(JsonWebToken.TryParse(Sign("""{"alg":"EdDSA"}""", claims.ToJsonString()), out _));
        Assert.Throws<ArgumentException>(() => JsonWebToken.Create(_key, claims));
    }

    [Fact]
    public void Claims_twice_are_refused() =>
        Assert.False(JsonWebToken.TryParse(Sign("""{"alg":"EdDSA"}""", """{"iss":"a","iss":"b","type":"user","iat":0}"""), out _));

    [Fact]
    public void Base64url_is_strict()
    {
        string good = JsonWebToken.Create(_key, Claims());
        string[] parts = good.Split('.');
        // 64 bytes of signature leave four bits in the last character that say nothing.
        char last = parts[2][^1];
        string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        string twin = good[..^1] + alphabet[alphabet.IndexOf(last, StringComparison.Ordinal) + 1];
        string[] bad = [good + "=", good + "==", " " + good, good + "\n", good.Replace('-', '+').Replace('_', '/') + "/", twin, parts[0] + "." + parts[1], good + ".", good + "." + parts[2], ".." + parts[2], "..", "", parts[0] + "=." + parts[1] + "." + parts[2]];
        Assert.True(JsonWebToken.TryParse(good, out _));
        foreach (string text in bad) Assert.False(JsonWebToken.TryParse(text, out _), text);
        Assert.False(JsonWebToken.TryParse(null, out _));
    }

    [Fact]
    public void Token_over_the_bound_is_refused_before_anything_is_decoded()
    {
        JsonObject claims = Claims();
        claims["pad"] = new string('x', JsonWebToken.MaximumLength);
        Assert.Throws<ArgumentException>(() => JsonWebToken.Create(_key, claims));
        string huge = Sign("""{"alg":"EdDSA"}""", claims.ToJsonString());
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool parsed = JsonWebToken.TryParse(huge, out _);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.False(parsed);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void Deep_json_is_refused() =>
        Assert.False(JsonWebToken.TryParse(Sign("""{"alg":"EdDSA"}""", $$"""{"iss":"a","type":"user","iat":0,"x":{{new string('[', 4000)}}{{new string(']', 4000)}}}"""), out _));

    [Fact]
    public void L16_random_payloads_never_throw()
    {
        var random = new Random(7519);
        string header = """{"alg":"EdDSA"}""", payload = Claims().ToJsonString();
        for (int i = 0; i < 4000; i++)
        {
            byte[] h = Encoding.UTF8.GetBytes(header), p = Encoding.UTF8.GetBytes(payload);
            byte[] hit = random.Next(2) == 0 ? h : p;
            for (int edits = random.Next(1, 4); edits > 0; edits--) hit[random.Next(hit.Length)] = (byte)random.Next(256);
            if (JsonWebToken.TryParse(Sign(h, p), out JsonWebToken? token)) Assert.NotNull(token.Issuer);
        }
    }

    public void Dispose() => _key.Dispose();

    private static JsonObject Claims() => new() { ["iss"] = "grid", ["org_id"] = Organization.ToString(), ["type"] = "connector", ["iat"] = 1_780_000_000, ["jti"] = Id.ToString() };

    private string Sign(string header, string payload) => Sign(Encoding.UTF8.GetBytes(header), Encoding.UTF8.GetBytes(payload));

    private string Sign(byte[] header, byte[] payload)
    {
        string input = Base64Url.EncodeToString(header) + "." + Base64Url.EncodeToString(payload);
        return input + "." + Base64Url.EncodeToString(_key.Sign(Encoding.ASCII.GetBytes(input)));
    }
}

using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Http;

/// <summary>
/// Header Idempotency-Key on creates: a request that is repeated within a day, because its answer was lost, gets the first
/// answer again and makes nothing twice. Kept in the transaction of the write, per user.
/// </summary>
internal static class Idempotency
{
    private const string Header = "Idempotency-Key";
    private const int MaxKeyLength = 128;

    private static readonly object FingerprintKey = new();

    /// <summary>Remembers what the request asks for: the same key for something else is a mistake.</summary>
    public static void SetFingerprint(HttpContext http, ReadOnlySpan<byte> body)
    {
        if (!http.Request.Headers.ContainsKey(Header))
            return;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{http.Request.Method}\n{http.Request.Path}\n"));
        hash.AppendData(body);
        http.Items[FingerprintKey] = hash.GetHashAndReset();
    }

    /// <summary>The first answer to this key, under the organization's lock; null: go on.</summary>
    /// <exception cref="ApiException">400 for a key that is none, 422 for one that was used for another request.</exception>
    public static async Task<IResult?> ReplayAsync(this HttpContext http, OrganizationWrite write)
    {
        if (Key(http) is not { } key)
            return null;
        var userId = http.Caller().UserId;
        var value = await write.QuerySingleAsync<byte[]>("SELECT answer FROM idempotency_key WHERE user_id = @userId AND key = @key AND created_at > now() - interval '1 day'", new { userId, key });
        if (value is null)
            return null;
        var first = JsonSerializer.Deserialize(Vault(http).Open(Place(userId, key), value), IdempotencyJson.Default.FirstAnswer)!;
        if (!CryptographicOperations.FixedTimeEquals(first.Fingerprint, (byte[])http.Items[FingerprintKey]!))
            throw new ApiException(422, ErrorCodes.IdempotencyKeyReused, $"the {Header} was used for another request within the last day");
        http.Response.Headers["Idempotency-Replayed"] = "true";
        return Answer(TypedResults.Text(first.Body, "application/json; charset=utf-8", statusCode: 201), first);
    }

    /// <summary>Commits the write and answers 201; with a key, the same answer goes to whoever repeats the request.</summary>
    /// <param name="version">For the ETag; null: there is none.</param>
    /// <param name="bump">As in <see cref="OrganizationWrite.CommitAsync"/>.</param>
    public static async Task<IResult> CommitCreatedAsync<T>(this HttpContext http, OrganizationWrite write, string location, T resource, JsonTypeInfo<T> type, long? version = null, bool bump = true)
    {
        var answer = new FirstAnswer(http.Items[FingerprintKey] as byte[] ?? [], location, version, JsonSerializer.Serialize(resource, type));
        if (Key(http) is { } key)
        {
            var userId = http.Caller().UserId;
            // SECURITY: sealed, because an answer may hold a token, and the fingerprint would let a password be guessed.
            var value = Vault(http).Seal(Place(userId, key), JsonSerializer.SerializeToUtf8Bytes(answer, IdempotencyJson.Default.FirstAnswer));
            await write.ExecuteAsync("""
                DELETE FROM idempotency_key WHERE user_id = @userId AND (key = @key OR created_at < now() - interval '1 day');
                INSERT INTO idempotency_key (user_id, key, answer) VALUES (@userId, @key, @value);
                """, new { userId, key, value });
        }
        await write.CommitAsync(bump);

        // Where it is in force is this answer's alone: whoever gets it again later is not told of a state that is past.
        return Answer(new JsonReply<T>(resource, type, 201), answer);
    }

    private static IResult Answer(IResult body, FirstAnswer answer)
    {
        var result = Reply.WithLocation(body, answer.Location);
        return answer.Version is { } version ? result.WithETag(version) : result;
    }

    private static string? Key(HttpContext http)
    {
        if (!http.Request.Headers.TryGetValue(Header, out var values))
            return null;
        var key = values.ToString();
        if (values.Count != 1 || key.Length is 0 or > MaxKeyLength || key.Any(c => c is < '!' or > '~'))
            throw new ApiException(400, ErrorCodes.BadRequest, $"{Header} must be 1 to {MaxKeyLength} printable ASCII characters without spaces");
        return key;
    }

    private static SecretVault Vault(HttpContext http) => http.RequestServices.GetRequiredService<SecretVault>();

    private static SecretPlace Place(Guid userId, string key) => new("idempotency_key", "answer", $"{userId:D}/{key}");
}

/// <summary>What was answered to the first request.</summary>
/// <param name="Fingerprint">SHA-256 of method, path and body.</param>
/// <param name="Body">JSON.</param>
internal sealed record FirstAnswer(byte[] Fingerprint, string Location, long? Version, string Body);

[JsonSerializable(typeof(FirstAnswer))]
internal sealed partial class IdempotencyJson : JsonSerializerContext;

using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Dapper;
using Npgsql;

namespace Relay.Silo.Identity;

/// <summary>
/// Slows down guessing, per account and per client address, across all silos. Safe for concurrent use.
/// An attempt is counted before it is tried, so that parallel ones cannot slip past; a success takes it back.
/// </summary>
internal sealed class LoginThrottle(NpgsqlDataSource database) : IDisposable
{
    private readonly SemaphoreSlim[] _turns = [.. Enumerable.Range(0, 64).Select(_ => new SemaphoreSlim(1))];

    /// <summary>Failures of one account before it must wait.</summary>
    public const int AccountAttempts = 5;

    /// <summary>Failures from one address, whatever the accounts: an office behind one address has many people.</summary>
    public const int AddressAttempts = 100;

    // The wait doubles from 30 s up to a quarter of an hour; a quiet quarter of an hour forgives everything.
    private const string Attempt = """
        INSERT INTO login_throttle AS t (key, attempts) VALUES (@key, 1)
        ON CONFLICT (key) DO UPDATE SET
          refused = coalesce(t.blocked_until > now(), false),
          attempts = CASE WHEN t.blocked_until > now() THEN t.attempts
                          WHEN t.last_at < now() - interval '15 minutes' THEN 1
                          ELSE t.attempts + 1 END,
          blocked_until = CASE WHEN t.blocked_until > now() THEN t.blocked_until
                               WHEN t.last_at < now() - interval '15 minutes' THEN NULL
                               WHEN t.attempts + 1 >= @limit THEN now() + least(30 * 2 ^ least(t.attempts + 1 - @limit, 10), 900) * interval '1 second'
                               ELSE NULL END,
          last_at = CASE WHEN t.blocked_until > now() THEN t.last_at ELSE now() END
        RETURNING CASE WHEN refused THEN ceil(extract(epoch FROM blocked_until - now()))::int END
        """;

    /// <summary>
    /// Waits until no other attempt on the account is under way in this silo: what is under way counts as a failure until it
    /// has succeeded, and a handful of right logins at once must not look like guessing. Dispose the result afterwards.
    /// </summary>
    public async Task<IDisposable> TakeTurnAsync(string account, CancellationToken cancellationToken)
    {
        // Some accounts share a turn; that costs them a little waiting, and no memory can be filled with made-up names.
        var turn = _turns[AccountKey(account)[0] % _turns.Length];
        await turn.WaitAsync(cancellationToken);
        return new Turn(turn);
    }

    /// <summary>Counts an attempt. Null: try it; otherwise the seconds to wait.</summary>
    public async Task<int?> EnterAsync(string account, string address, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var byAddress = await AttemptAsync(connection, AddressKey(address), AddressAttempts, cancellationToken);
        if (byAddress is not null)
            return byAddress;
        return await AttemptAsync(connection, AccountKey(account), AccountAttempts, cancellationToken);
    }

    /// <summary>The attempt that <see cref="EnterAsync"/> counted was no guess.</summary>
    public async Task SucceededAsync(string account, string address, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.ExecuteAsync(new CommandDefinition("""
            DELETE FROM login_throttle WHERE key = @account OR last_at < now() - interval '1 day';
            UPDATE login_throttle SET attempts = greatest(attempts - 1, 0), blocked_until = CASE WHEN attempts - 1 < @AddressAttempts THEN NULL ELSE blocked_until END
            WHERE key = @address;
            """, new { account = AccountKey(account), address = AddressKey(address), AddressAttempts }, cancellationToken: cancellationToken));
    }

    /// <summary>Until when each account waits; accounts that may try are not in it.</summary>
    public static async Task<IReadOnlyDictionary<string, DateTimeOffset>> BlockedAsync(NpgsqlConnection connection, IReadOnlyCollection<string> accounts, CancellationToken cancellationToken)
    {
        var keys = accounts.ToDictionary(a => Convert.ToHexString(AccountKey(a)), a => a);
        var rows = await connection.QueryAsync<(byte[] Key, DateTimeOffset Until)>(new CommandDefinition(
            "SELECT key, blocked_until FROM login_throttle WHERE key = ANY(@keys) AND blocked_until > now()",
            new { keys = accounts.Select(AccountKey).ToArray() }, cancellationToken: cancellationToken));
        return rows.ToDictionary(r => keys[Convert.ToHexString(r.Key)], r => r.Until);
    }

    /// <summary>The account's name in the throttle: organization and address, whatever the case.</summary>
    public static string Account(string organization, string email) => $"{organization.ToLowerInvariant()}/{email.ToLowerInvariant()}";

    public void Dispose()
    {
        foreach (var turn in _turns)
            turn.Dispose();
    }

    private sealed class Turn(SemaphoreSlim semaphore) : IDisposable
    {
        public void Dispose() => semaphore.Release();
    }

    private static Task<int?> AttemptAsync(NpgsqlConnection connection, byte[] key, int limit, CancellationToken cancellationToken) =>
        connection.ExecuteScalarAsync<int?>(new CommandDefinition(Attempt, new { key, limit }, cancellationToken: cancellationToken));

    private static byte[] AccountKey(string account) => SHA256.HashData(Encoding.UTF8.GetBytes($"account:{account}"));

    private static byte[] AddressKey(string address) => SHA256.HashData(Encoding.UTF8.GetBytes($"address:{Network(address)}"));

    // One customer of an IPv6 network has a /64, and with it more addresses than anybody can count.
    private static string Network(string address) =>
        IPAddress.TryParse(address, out var ip) && ip.AddressFamily == AddressFamily.InterNetworkV6 ? Convert.ToHexString(ip.GetAddressBytes().AsSpan(0, 8)) : address;
}

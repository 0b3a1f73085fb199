using System.Data;
using System.Globalization;
using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>
/// Transactions that the server ends when their silo says nothing for too long. A process that is stopped between two statements
/// (SIGSTOP, a suspended machine, a cut that nobody resets) would keep its locks for as long as that lasts, and everybody else waiting.
/// Whoever comes back to a transaction that was ended so is told by an error that counts as an outage (<see cref="StoreErrors"/>):
/// nothing of it was done, and it may be tried again.
/// </summary>
internal static class BoundedTransaction
{
    /// <summary>
    /// Between two statements of a silo that runs. Shorter than the statements of others wait for a lock (5 s), long enough for a
    /// process that gets little processor time.
    /// </summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Where this silo works between its statements: derives keys, parses what it has read. Nobody who serves waits for such a transaction.</summary>
    public static readonly TimeSpan LongPatience = TimeSpan.FromSeconds(30);

    /// <summary>Begins a transaction.</summary>
    /// <param name="patience">How long the server waits for the next statement. It does not count while a statement runs or waits for a lock.</param>
    public static async Task<NpgsqlTransaction> BeginBoundedAsync(this NpgsqlConnection connection, TimeSpan patience, CancellationToken cancellationToken, IsolationLevel isolation = IsolationLevel.ReadCommitted)
    {
#pragma warning disable RS0030 // The only place.
        var transaction = await connection.BeginTransactionAsync(isolation, cancellationToken);
#pragma warning restore RS0030
        try
        {
            // Not as a parameter of the connection: a pooler in between may not know it.
            await using var command = new NpgsqlCommand(string.Create(CultureInfo.InvariantCulture, $"SET LOCAL idle_in_transaction_session_timeout = {patience.TotalMilliseconds:0}"), connection, transaction);
            await command.ExecuteNonQueryAsync(cancellationToken);
            return transaction;
        }
        catch
        {
            await transaction.DisposeAsync();
            throw;
        }
    }
}

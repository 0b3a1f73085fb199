using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>Tells a store that is not there from a store that says no.</summary>
internal static class StoreErrors
{
    /// <summary>Ended by <see cref="BoundedTransaction"/>; the driver has no name for it.</summary>
    public const string IdleInTransactionSessionTimeout = "25P03";

    /// <summary>True when the store did not answer, is starting or stopping, takes no writes, or ended a transaction that it had heard nothing of for too long: the operation may be tried again later.</summary>
    public static bool IsOutage(Exception exception) => exception switch
    {
        StoreUnavailableException => true,
        PostgresException e => e.SqlState is PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow
            or PostgresErrorCodes.TooManyConnections or PostgresErrorCodes.ReadOnlySqlTransaction or PostgresErrorCodes.IdleSessionTimeout or IdleInTransactionSessionTimeout
            || e.SqlState.StartsWith("08", StringComparison.Ordinal) || e.SqlState.StartsWith("53", StringComparison.Ordinal),
        NpgsqlException => true,
        _ => false,
    };
}

/// <summary>The store is known to be out of reach: nothing was asked, or its answer was not waited for.</summary>
internal sealed class StoreUnavailableException(string message = StoreUnavailableException.Sentence, Exception? inner = null) : Exception(message, inner)
{
    private const string Sentence = "the database cannot be reached";
}

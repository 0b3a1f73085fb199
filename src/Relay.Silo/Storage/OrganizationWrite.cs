using System.Text.Json.Nodes;
using Dapper;
using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>
/// One administrative write: a transaction that holds the organization's row, so such writes happen one after the other,
/// bumps its version and notifies every silo at commit. Not thread-safe. Caller disposes; without
/// <see cref="CommitAsync"/> nothing happened.
/// </summary>
internal sealed class OrganizationWrite : IAsyncDisposable
{
    private readonly Actor _actor;
    private readonly CancellationToken _cancellation;

    private OrganizationWrite(NpgsqlConnection connection, NpgsqlTransaction transaction, Actor actor, CancellationToken cancellation)
    {
        Connection = connection;
        Transaction = transaction;
        _actor = actor;
        _cancellation = cancellation;
    }

    public NpgsqlConnection Connection { get; }

    public NpgsqlTransaction Transaction { get; }

    /// <summary>The organization's version that this write has committed; null: none, or not yet.</summary>
    public long? CommittedVersion { get; private set; }

    public Guid OrganizationId => _actor.OrganizationId;

    /// <summary>Begins a write that decisions may depend on.</summary>
    public static async Task<OrganizationWrite> BeginAsync(NpgsqlDataSource database, Actor actor, CancellationToken cancellationToken)
    {
        var connection = await database.OpenConnectionAsync(cancellationToken);
        try
        {
            var transaction = await connection.BeginBoundedAsync(BoundedTransaction.Patience, cancellationToken);
            var write = new OrganizationWrite(connection, transaction, actor, cancellationToken);
            // Taken first by every write, so there is one order and no deadlock.
            await write.ExecuteAsync("SELECT 1 FROM organization WHERE organization_id = @OrganizationId FOR UPDATE", new { actor.OrganizationId });
            return write;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    public Task<int> ExecuteAsync(string sql, object? parameters = null) => Connection.ExecuteAsync(Command(sql, parameters));

    public async Task<IReadOnlyList<T>> QueryAsync<T>(string sql, object? parameters = null) => (await Connection.QueryAsync<T>(Command(sql, parameters))).AsList();

    public Task<T?> QuerySingleAsync<T>(string sql, object? parameters = null) => Connection.QuerySingleOrDefaultAsync<T?>(Command(sql, parameters));

    /// <summary>Appends to the audit trail; see <see cref="AuditTrail.AppendAsync"/>.</summary>
    public Task AuditAsync(string actionType, string resourceType, string resourceId, JsonObject? detail = null) =>
        AuditTrail.AppendAsync(Connection, Transaction, _actor, actionType, resourceType, resourceId, "success", detail, _cancellation);

    /// <summary>Commits; with <paramref name="bump"/> every silo reloads the organization's snapshot.</summary>
    /// <param name="bump">False when no decision can depend on the write (a token's name, a login).</param>
    public async Task CommitAsync(bool bump = true)
    {
        long? version = null;
        if (bump)
        {
            // The last statement before the commit: what is measured from its time is not the write's own work.
            await ExecuteAsync("SELECT pg_notify('relay_org', @OrganizationId::text)", new { OrganizationId });
            version = await QuerySingleAsync<long>("UPDATE organization SET version = version + 1 WHERE organization_id = @OrganizationId RETURNING version", new { OrganizationId });
        }
        await Transaction.CommitAsync(_cancellation);
        CommittedVersion = version;
    }

    public async ValueTask DisposeAsync()
    {
        await Transaction.DisposeAsync();
        await Connection.DisposeAsync();
    }

    private CommandDefinition Command(string sql, object? parameters) => new(sql, parameters, Transaction, cancellationToken: _cancellation);
}

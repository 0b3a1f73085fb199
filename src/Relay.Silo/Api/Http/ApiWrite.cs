using Npgsql;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Http;

/// <summary>Begins writes on behalf of callers.</summary>
internal static class ApiWrite
{
    /// <summary>
    /// Begins a write of the request's caller. The caller's role is read again under the organization's lock: a request that
    /// was admitted before a change of role must not write after it (L33).
    /// </summary>
    /// <exception cref="ApiException">403: the role changed meanwhile.</exception>
    public static async Task<OrganizationWrite> BeginWriteAsync(this HttpContext http, NpgsqlDataSource database)
    {
        var caller = http.Caller();
        var write = await OrganizationWrite.BeginAsync(database, http.Actor(), http.RequestAborted);
        try
        {
            var role = await write.QuerySingleAsync<string>("SELECT role FROM app_user WHERE user_id = @UserId", new { caller.UserId });
            if (role != caller.Role)
                throw ApiException.Forbidden("your role was changed while the request was under way");
            http.Follow(write);
            return write;
        }
        catch
        {
            await write.DisposeAsync();
            throw;
        }
    }

    /// <summary>The id behind an id or a name.</summary>
    /// <exception cref="ApiException">404.</exception>
    public static async Task<Guid> FindAsync(this OrganizationWrite write, Named what, string idOrName, CancellationToken cancellationToken) =>
        await Lookups.FindAsync(write.Connection, write.Transaction, what, write.OrganizationId, idOrName, cancellationToken)
            ?? throw ApiException.NotFound(what.What, idOrName);

    /// <inheritdoc cref="FindAsync(OrganizationWrite, Named, string, CancellationToken)"/>
    public static async Task<Guid> FindAsync(this NpgsqlConnection connection, Named what, HttpContext http, string idOrName) =>
        await Lookups.FindAsync(connection, null, what, http.Caller().OrganizationId, idOrName, http.RequestAborted)
            ?? throw ApiException.NotFound(what.What, idOrName);
}

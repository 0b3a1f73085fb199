using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Hosting;

/// <summary>For load balancers and people, on the API's listener. Liveness never asks the database: a restart does not mend it.</summary>
internal static class HealthEndpoints
{
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(2);

    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/healthz", () => TypedResults.Text("ok\n")).ExcludeFromDescription();
        routes.MapGet("/readyz", ReadyAsync).ExcludeFromDescription();
        routes.MapGet("/metrics", Metrics).ExcludeFromDescription();
    }

    private static async Task<IResult> ReadyAsync(NpgsqlDataSource database, TimeProvider time, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(ReadyDeadline, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        try
        {
            await using var command = database.CreateCommand("SELECT 1");
            await command.ExecuteScalarAsync(either.Token);
            return TypedResults.Text("ready\n");
        }
        catch (Exception e) when (e is NpgsqlException or OperationCanceledException or TimeoutException)
        {
            return TypedResults.Text("the database does not answer\n", statusCode: StatusCodes.Status503ServiceUnavailable);
        }
    }

    private static ContentHttpResult Metrics(SessionRegistry sessions, SnapshotCell snapshots)
    {
        var text = $"""
            # HELP relay_sessions Sessions that live on this silo.
            # TYPE relay_sessions gauge
            relay_sessions {sessions.Count}
            # HELP relay_organizations Organizations this silo decides for.
            # TYPE relay_organizations gauge
            relay_organizations {snapshots.Versions().Count}

            """;
        return TypedResults.Text(text, "text/plain; version=0.0.4");
    }
}

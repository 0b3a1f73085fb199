using Npgsql;
using Relay.Silo.Storage;

namespace Relay.Tests.Silo.Storage;

/// <summary>What of a connection string is the operator's and what is Relay's.</summary>
public sealed class RelayDatabaseTests
{
    [Theory]
    [InlineData("Host=db", 4, 10, -1)]
    [InlineData("Host=a,b", 4, 10, -1)]
    [InlineData("Host=db;Timeout=7;Command Timeout=9;Cancellation Timeout=11", 7, 9, 11)]
    [InlineData("Host=db;CommandTimeout=30", 4, 30, -1)]
    public async Task A_database_that_is_gone_is_noticed_soon_unless_the_operator_says_otherwise(string given, int connect, int command, int cancellation)
    {
        await using var source = RelayDatabase.CreateDataSource(given);
        var used = new NpgsqlConnectionStringBuilder(source.ConnectionString);
        Assert.Equal((connect, command, cancellation), (used.Timeout, used.CommandTimeout, used.CancellationTimeout));
    }
}

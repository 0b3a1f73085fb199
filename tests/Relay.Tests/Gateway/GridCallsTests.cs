using System.Text;
using Relay.Gateway.Grid;

namespace Relay.Tests.Gateway;

/// <summary>Whatever keeps a silo from answering, its caller learns it as one kind of error, and only its own cancellation as that.</summary>
public sealed class GridCallsTests
{
    [Fact]
    public async Task A_connection_that_does_not_come_about_in_time_is_a_silo_that_does_not_answer()
    {
        using var client = Client(connectTimeout: TimeSpan.FromMilliseconds(1));
        using var content = new StringContent("{}", Encoding.UTF8);
        var error = await Assert.ThrowsAsync<GridException>(() => GridCalls.SendAsync(client, "/", content, TimeSpan.FromMinutes(1), TimeProvider.System, TestContext.Current.CancellationToken));
        Assert.Equal("timeout", error.Code);
        Assert.True(error.IsTransient);
    }

    [Fact]
    public async Task A_silo_that_says_nothing_is_given_up_after_the_callers_limit_and_the_caller_itself_when_it_wants()
    {
        using var client = Client(connectTimeout: Timeout.InfiniteTimeSpan);
        using var content = new StringContent("{}", Encoding.UTF8);
        var error = await Assert.ThrowsAsync<GridException>(() => GridCalls.SendAsync(client, "/", content, TimeSpan.FromMilliseconds(1), TimeProvider.System, TestContext.Current.CancellationToken));
        Assert.Equal("timeout", error.Code);
        using var gone = new CancellationTokenSource();
        var call = GridCalls.SendAsync(client, "/", content, TimeSpan.FromMinutes(1), TimeProvider.System, gone.Token);
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
    }

    // Nobody ever picks up.
    private static HttpClient Client(TimeSpan connectTimeout) => new(new SocketsHttpHandler
    {
        ConnectTimeout = connectTimeout,
        ConnectCallback = static async (_, cancellationToken) =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
            throw new InvalidOperationException("It was to be given up.");
        },
    })
    { BaseAddress = new Uri("http://silo.test"), Timeout = Timeout.InfiniteTimeSpan };
}

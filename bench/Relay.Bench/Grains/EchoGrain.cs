using Orleans;

namespace Relay.Bench.Grains;

/// <summary>The smallest call that carries something both ways.</summary>
internal interface IEchoGrain : IGrainWithStringKey
{
    Task<int> EchoAsync(int value);

    /// <summary>As the domain's grains have it: with cancellation.</summary>
    Task<int> EchoCancellableAsync(int value, CancellationToken cancellationToken);

    /// <summary>Calls another grain <paramref name="count"/> times, one after the other.</summary>
    Task<int> CallAsync(string other, int count);
}

internal sealed class EchoGrain : Grain, IEchoGrain
{
    public Task<int> EchoAsync(int value) => Task.FromResult(value);

    public Task<int> EchoCancellableAsync(int value, CancellationToken cancellationToken) => Task.FromResult(value);

    public async Task<int> CallAsync(string other, int count)
    {
        var grain = GrainFactory.GetGrain<IEchoGrain>(other);
        var sum = 0;
        for (var i = 0; i < count; i++) sum += await grain.EchoAsync(1);
        return sum;
    }
}

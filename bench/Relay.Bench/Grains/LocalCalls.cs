using System.Diagnostics;
using System.Threading.Channels;
using Relay.GrainHost.Membership;

namespace Relay.Bench.Grains;

/// <summary>Calls within one silo.</summary>
internal sealed class LocalCalls : IBenchmark
{
    /// <summary>Measured elsewhere, on another 2-vCPU machine: a landmark, no comparison under equal conditions.</summary>
    private const double OrleansReference = 800_000;

    private const int Calls = 1_000_000;

    public string Prefix => "grain.local_calls";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        await using var silo = await BenchSilo.StartAsync(new InMemoryMembershipTable(TimeProvider.System), cancellationToken);
        var grain = silo.Host.GrainFactory.GetGrain<IEchoGrain>("a");
        var caller = silo.Host.GrainFactory.GetGrain<IEchoGrain>("caller");
        await Repeat.SequentialAsync(200_000, grain.EchoAsync);
        await Repeat.SequentialAsync(50_000, value => grain.EchoCancellableAsync(value, cancellationToken));
        await caller.CallAsync("a", 50_000);

        var best = 0.0;
        for (var round = 0; round < 3; round++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var sequential = await Repeat.MeasureAsync(Calls, () => Repeat.SequentialAsync(Calls, grain.EchoAsync));
            best = Math.Max(best, sequential.PerSecond);
            Report.Note($"sequential, from outside the grains: {sequential}");
        }

        Report.Note($"with a cancellation token:           {await Repeat.MeasureAsync(Calls / 2, () => Repeat.SequentialAsync(Calls / 2, v => grain.EchoCancellableAsync(v, cancellationToken)))}");
        // In slices that end before the call's own deadline.
        Report.Note($"from grain to grain:                 {await Repeat.MeasureAsync(Calls, () => Repeat.SequentialAsync(Calls / 100_000, _ => caller.CallAsync("a", 100_000)))}");
        Report.Note($"100 callers, one grain:              {await Repeat.MeasureAsync(Calls, () => Repeat.ConcurrentAsync(100, Calls, (_, v) => grain.EchoAsync(v)))}");
        var many = Enumerable.Range(0, 100).Select(i => silo.Host.GrainFactory.GetGrain<IEchoGrain>($"g{i}")).ToArray();
        Report.Note($"100 callers, 100 grains:             {await Repeat.MeasureAsync(Calls, () => Repeat.ConcurrentAsync(100, Calls, (i, v) => many[i].EchoAsync(v)))}");
        await ChannelActorAsync(20_000);
        Report.Note($"bare channel and completion source:  {await Repeat.MeasureAsync(Calls / 2, () => ChannelActorAsync(Calls / 2))}");
        report.Add("grain.local_calls", "calls/s", Better.Higher, best, "Orleans, reference figure from another machine (2 vCPU), not measured here", OrleansReference);
    }

    /// <summary>The least that an actor costs with the framework's own parts: a queue, a loop that reads it, and a promise for each call.</summary>
    private static async Task ChannelActorAsync(int calls)
    {
        var queue = Channel.CreateUnbounded<TaskCompletionSource<int>>(new UnboundedChannelOptions { SingleReader = true });
        var loop = Task.Run(async () =>
        {
            await foreach (var call in queue.Reader.ReadAllAsync()) call.SetResult(1);
        });
        for (var i = 0; i < calls; i++)
        {
            var call = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
            queue.Writer.TryWrite(call);
            await call.Task;
        }

        queue.Writer.Complete();
        await loop;
        Debug.Assert(queue.Reader.Completion.IsCompleted);
    }
}

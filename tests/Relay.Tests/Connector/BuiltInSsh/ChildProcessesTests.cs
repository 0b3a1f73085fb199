using Relay.Connector.BuiltInSsh;

namespace Relay.Tests.Connector.BuiltInSsh;

public sealed class ChildProcessesTests
{
    // Each end is looked for by the handler of its signal, by those of others', and by who has just started it.
    [Fact]
    public async Task However_many_programs_end_at_once_each_says_how()
    {
        const int Programs = 3000, AtOnce = 32;
        var codes = new int[Programs];
        await Parallel.ForAsync(0, Programs, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = TestContext.Current.CancellationToken }, async (i, cancel) =>
        {
            using var program = SpawnedProgram.WithPipes(["/bin/sh", "-c", $"exit {i % 200}"], [], "/");
            codes[i] = (await program.End.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, cancel)).ExitCode;
        });
        Assert.Equal(Enumerable.Range(0, Programs).Select(i => i % 200), codes);
    }
}

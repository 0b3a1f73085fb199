using FsCheck;
using FsCheck.Fluent;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;

[assembly: AssemblyFixture(typeof(PostgresServer))]

namespace Relay.Tests;

/// <summary>Properties with a seed that is in the test's output, and can be given again as RELAY_TEST_SEED. One that holds says nothing.</summary>
internal static class Checked
{
    public static ulong Seed { get; } = ulong.TryParse(Environment.GetEnvironmentVariable("RELAY_TEST_SEED"), out var seed) ? seed : (ulong)Random.Shared.NextInt64();

    public static void ForAll<T>(Arbitrary<T> values, int count, Func<T, bool> property) => Holds(Prop.ForAll(values, property), count);

    public static void Holds(Property property, int count = 100)
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"RELAY_TEST_SEED={Seed}");
        // The second half of the seed has to be odd.
        property.Check(Config.QuickThrowOnFailure.WithMaxTest(count).WithReplay(Seed, (Seed << 1) | 1).WithRunner(new Quiet()));
    }

    private sealed class Quiet : IRunner
    {
        public void OnStartFixture(Type t)
        {
        }

        public void OnArguments(int ntest, FSharpList<object> args, FSharpFunc<int, FSharpFunc<FSharpList<object>, string>> every)
        {
        }

        public void OnShrink(FSharpList<object> args, FSharpFunc<FSharpList<object>, string> everyShrink)
        {
        }

        public void OnFinished(string name, FsCheck.TestResult testResult)
        {
            if (testResult is not FsCheck.TestResult.Passed)
                Assert.Fail(Runner.onFinishedToString(name, testResult));
        }
    }
}

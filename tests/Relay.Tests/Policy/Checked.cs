using FsCheck;
using FsCheck.Fluent;

namespace Relay.Tests.Policy;

/// <summary>Properties with a seed that is always printed, and can be given again as RELAY_TEST_SEED.</summary>
internal static class Checked
{
    public static ulong Seed { get; } = ulong.TryParse(Environment.GetEnvironmentVariable("RELAY_TEST_SEED"), out var seed) ? seed : (ulong)Random.Shared.NextInt64();

    public static void ForAll<T>(Arbitrary<T> values, int count, Func<T, bool> property)
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"RELAY_TEST_SEED={Seed}");
        // The second half of the seed has to be odd.
        var config = Config.QuickThrowOnFailure.WithMaxTest(count).WithReplay(Seed, (Seed << 1) | 1);
        Prop.ForAll(values, property).Check(config);
    }
}

using Relay.GrainHost.Types;

namespace Relay.Tests.GrainHost.Cluster;

/// <summary>Finds keys by where their grains are.</summary>
internal static class Placing
{
    /// <summary>A key of <see cref="ILifeGrain"/> that <paramref name="seenBy"/> places on <paramref name="target"/>.</summary>
    public static string KeyOn(TestSilo target, TestSilo seenBy) => KeysOn(target, seenBy).First();

    public static IEnumerable<string> KeysOn(TestSilo target, TestSilo seenBy)
    {
        var view = seenBy.Host.Agent.View;
        var grainClass = seenBy.Host.Types.Get(typeof(ILifeGrain)).Class!;
        return Enumerable.Range(0, int.MaxValue).Select(i => $"k{i}")
            .Where(key => view.OwnerOf(StableHash.Combine(grainClass.Hash, StableHash.Of(key)))!.Address == target.Host.Address);
    }
}

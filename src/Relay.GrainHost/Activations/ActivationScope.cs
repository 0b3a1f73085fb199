using Orleans.Runtime;

namespace Relay.GrainHost.Activations;

/// <summary>The activation whose grain object is being made on this thread, so that <c>Grain()</c> needs no parameter.</summary>
internal static class ActivationScope
{
    [ThreadStatic]
    private static IGrainContext? s_current;

    public static IGrainContext? Current
    {
        get => s_current;
        set => s_current = value;
    }
}

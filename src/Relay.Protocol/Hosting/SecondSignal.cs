using System.Runtime.InteropServices;

namespace Relay.Protocol.Hosting;

/// <summary>Tells when a process that was asked to end in order (SIGTERM, SIGINT) is asked again: nothing is to be waited for then. The first one is the host's. Caller disposes.</summary>
public sealed class SecondSignal : IDisposable
{
    private readonly Action _second;
    private readonly PosixSignalRegistration[] _registrations;
    private int _count;

    /// <summary>Listens from now on.</summary>
    /// <param name="second">Called on the second signal and every one after it, on a pool thread; must not throw.</param>
    public SecondSignal(Action second)
    {
        _second = second;
        _registrations = [.. new[] { PosixSignal.SIGTERM, PosixSignal.SIGINT }.Select(signal => PosixSignalRegistration.Create(signal, OnSignal))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        if (Interlocked.Increment(ref _count) > 1)
            _second();
    }
}

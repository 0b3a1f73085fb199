using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Relay.Connector.BuiltInSsh;

/// <summary>
/// One thread that waits for all pipes and pseudo-terminals, so that an idle session holds no thread.
/// .NET's own readiness engine takes sockets only. Safe for concurrent use.
/// </summary>
internal sealed unsafe class DescriptorPoller
{
    private const int AddOperation = 1;
    private const int DeleteOperation = 2;
    private const uint In = 1, Out = 4, Error = 8, HangUp = 16, EdgeTriggered = 1u << 31;
    private const int MaximumEvents = 64;

    // struct epoll_event is packed on x86-64 only.
    private static readonly int s_eventBytes = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;
    private static readonly int s_dataOffset = s_eventBytes - sizeof(ulong);
    private static readonly Lazy<DescriptorPoller> s_shared = new(() => new DescriptorPoller());

    private readonly ConcurrentDictionary<int, DescriptorStream> _streams = new();
    private readonly int _epoll;

    private DescriptorPoller()
    {
        _epoll = Posix.CreateEpoll(Posix.O_CLOEXEC);
        if (_epoll < 0)
            throw new IOException($"epoll: {Posix.LastError()}");
        new Thread(Run) { IsBackground = true, Name = "Descriptor poller" }.Start();
    }

    public static DescriptorPoller Shared => s_shared.Value;

    public void Add(DescriptorStream stream)
    {
        _streams[stream.Descriptor] = stream;
        var @event = stackalloc byte[16];
        MemoryMarshal.Write(new Span<byte>(@event, 4), In | Out | EdgeTriggered);
        MemoryMarshal.Write(new Span<byte>(@event + s_dataOffset, 8), (ulong)stream.Descriptor);
        if (Posix.ControlEpoll(_epoll, AddOperation, stream.Descriptor, @event) < 0)
            throw new IOException($"epoll: {Posix.LastError()}");
    }

    /// <summary>Has to come before the descriptor is closed: its number is given away again at once.</summary>
    public void Remove(DescriptorStream stream)
    {
        var @event = stackalloc byte[16];
        _ = Posix.ControlEpoll(_epoll, DeleteOperation, stream.Descriptor, @event);
        _streams.TryRemove(new KeyValuePair<int, DescriptorStream>(stream.Descriptor, stream));
    }

    private void Run()
    {
        var events = stackalloc byte[MaximumEvents * 16];
        while (true)
        {
            var count = Posix.WaitEpoll(_epoll, events, MaximumEvents, -1);
            for (var i = 0; i < count; i++)
            {
                var flags = MemoryMarshal.Read<uint>(new ReadOnlySpan<byte>(events + (i * s_eventBytes), 4));
                var descriptor = (int)MemoryMarshal.Read<ulong>(new ReadOnlySpan<byte>(events + (i * s_eventBytes) + s_dataOffset, 8));
                if (_streams.TryGetValue(descriptor, out var stream))
                    stream.OnReady((flags & (In | Error | HangUp)) != 0, (flags & (Out | Error | HangUp)) != 0);
            }
        }
    }
}

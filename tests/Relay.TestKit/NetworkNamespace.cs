using System.Net;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Relay.TestKit.Processes;

namespace Relay.TestKit;

/// <summary>
/// A network namespace of its own, with its loopback up; removed on dispose. This process can have sockets in it, so a test
/// needs no interface outside.
/// </summary>
public sealed partial class NetworkNamespace : IAsyncDisposable
{
    private const int CloneNewNet = 0x40000000;
    private static int s_next;

    private NetworkNamespace(string name) => Name = name;

    /// <summary>True when this process may make namespaces and tunnel devices.</summary>
    public static bool IsAvailable => Environment.IsPrivilegedProcess && File.Exists("/dev/net/tun");

    /// <summary>Its name, for <c>ip netns</c>; short enough for an interface's.</summary>
    public string Name { get; }

    public static async Task<NetworkNamespace> CreateAsync()
    {
        var name = $"rt{Environment.ProcessId}-{Interlocked.Increment(ref s_next)}";
        await CheckedAsync("ip", ["netns", "add", name]);
        var made = new NetworkNamespace(name);
        await made.RunAsync("ip", "link", "set", "lo", "up");
        return made;
    }

    /// <summary>Runs a command in it to its end; it must succeed.</summary>
    public Task<CommandResult> RunAsync(string file, params string[] arguments) => CheckedAsync("ip", ["netns", "exec", Name, file, .. arguments]);

    /// <summary>Starts a process in it.</summary>
    public RunningProcess Start(string name, string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment = null) =>
        RunningProcess.Start(name, "ip", ["netns", "exec", Name, file, .. arguments], environment);

    /// <summary>A socket that is in it, whoever uses it.</summary>
    public Socket CreateSocket(AddressFamily family, SocketType type, ProtocolType protocol) => Run(() => new Socket(family, type, protocol));

    /// <summary>A TCP connection from there. Caller disposes.</summary>
    public async Task<NetworkStream> ConnectAsync(IPEndPoint remote, CancellationToken cancellationToken)
    {
        var socket = CreateSocket(remote.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(remote, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Calls a function in it. Sockets and interfaces that it opens stay there, whoever uses them.</summary>
    public T Run<T>(Func<T> inside)
    {
        T? result = default;
        Exception? error = null;
        // The namespace is the thread's; a thread of its own takes it along when it ends.
        var thread = new Thread(() =>
        {
            try
            {
                using var file = File.OpenHandle($"/var/run/netns/{Name}");
                if (EnterNamespace(file, CloneNewNet) != 0)
                    throw new InvalidOperationException($"setns: error {Marshal.GetLastPInvokeError()}");
                result = inside();
            }
            catch (Exception e)
            {
                error = e;
            }
        });
        thread.Start();
        thread.Join();
        if (error is not null)
            ExceptionDispatchInfo.Throw(error);
        return result!;
    }

    public async ValueTask DisposeAsync() => await CheckedAsync("ip", ["netns", "del", Name]);

    private static async Task<CommandResult> CheckedAsync(string file, string[] arguments)
    {
        var result = await Command.RunAsync(file, arguments);
        return result.ExitCode == 0 ? result : throw new InvalidOperationException($"{file} {string.Join(' ', arguments)}: {result}");
    }

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int EnterNamespace(SafeHandle file, int kind);
}

using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Relay.TestKit.Processes;

namespace Relay.Chaos.Network;

/// <summary>
/// A small network of its own: one namespace per node, each with one address, all on a bridge that has a namespace of its own.
/// Nothing of it is visible outside, so runs do not meet. Removed by <see cref="DisposeAsync"/>; what a run left behind that was
/// killed is removed by the next one.
/// </summary>
internal sealed partial class NodeNetwork : IAsyncDisposable
{
    private const string Prefix = "relay-chaos-";
    private const string Subnet = "10.77.0.";
    private const int NewNetworkNamespace = 0x40000000;
    private readonly Dictionary<string, string> _addresses = [];
    private readonly string _run = $"{Prefix}{Environment.ProcessId}";

    private NodeNetwork()
    {
    }

    public IReadOnlyCollection<string> Nodes => _addresses.Keys;

    private string Hub => $"{_run}-hub";

    /// <param name="nodes">Node and the last number of its address.</param>
    /// <exception cref="ChaosSetupException">Namespaces, nftables or TUN devices cannot be had here; the message says which.</exception>
    public static async Task<NodeNetwork> CreateAsync(IReadOnlyDictionary<string, int> nodes)
    {
        if (!Environment.IsPrivilegedProcess)
            throw new ChaosSetupException("This needs root: network namespaces, and rules in them.");
        foreach (var program in new[] { "/usr/sbin/ip", "/usr/sbin/nft", "/usr/bin/nsenter", "/usr/bin/setpriv" })
        {
            if (!File.Exists(program))
                throw new ChaosSetupException($"{program} is missing: run `make setup`.");
        }

        if (!File.Exists("/dev/net/tun"))
            throw new ChaosSetupException("There is no /dev/net/tun: slow links need it.");
        await RemoveLeftoversAsync();
        var network = new NodeNetwork();
        try
        {
            await network.BuildAsync(nodes);
            return network;
        }
        catch
        {
            await network.DisposeAsync();
            throw;
        }
    }

    public string Address(string node) => _addresses[node];

    /// <summary>Node of an address "a.b.c.d" or "a.b.c.d:port"; null: none.</summary>
    public string? NodeAt(string address)
    {
        var host = address.Split(':')[0];
        return _addresses.FirstOrDefault(a => a.Value == host).Key;
    }

    /// <summary>The command line that runs a program in a node; the process is the program itself.</summary>
    public string[] Enter(string node, params IEnumerable<string> command) => ["/usr/bin/nsenter", $"--net=/run/netns/{Namespace(node)}", "--", .. command];

    /// <summary>Runs a program in a node to its end.</summary>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    public async Task<string> RunAsync(string node, string[] command, string? input = null)
    {
        var line = Enter(node, command);
        return await CommandAsync(line[0], line[1..], input);
    }

    /// <summary>The processes in a node.</summary>
    public async Task<string[]> PidsAsync(string node) =>
        (await CommandAsync("/usr/sbin/ip", ["netns", "pids", Namespace(node)], null)).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>A socket that lives in a node: only making it has to happen there.</summary>
    public Socket Socket(string node) => Inside(node, static () => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });

    /// <summary>Runs code whose thread is in a node's namespace.</summary>
    public T Inside<T>(string node, Func<T> code)
    {
        T? result = default;
        Exception? error = null;
        // The thread ends in the namespace that it entered: it must not be one of the pool.
        var thread = new Thread(() =>
        {
            try
            {
                using var handle = File.OpenHandle($"/run/netns/{Namespace(node)}");
                if (SetNamespace(handle.DangerousGetHandle().ToInt32(), NewNetworkNamespace) != 0)
                    throw new InvalidOperationException($"setns: error {Marshal.GetLastPInvokeError()}");
                result = code();
            }
            catch (Exception e)
            {
                error = e;
            }
        })
        { IsBackground = true };
        thread.Start();
        thread.Join();
        return error is null ? result! : throw new InvalidOperationException($"In {node}: {error.Message}", error);
    }

    /// <summary>A connection from one node.</summary>
    public async Task<NetworkStream> ConnectAsync(string from, IPEndPoint to, CancellationToken cancellationToken)
    {
        var socket = Socket(from);
        try
        {
            await socket.ConnectAsync(to, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var name in _addresses.Keys.Select(Namespace).Append(Hub))
            await TryAsync("/usr/sbin/ip", "netns", "delete", name);
    }

    private string Namespace(string node) => $"{_run}-{node}";

    private async Task BuildAsync(IReadOnlyDictionary<string, int> nodes)
    {
        await IpAsync($"netns add {Hub}", "-n {0} link add bridge0 type bridge", "-n {0} link set bridge0 up", Hub);
        foreach (var (node, number) in nodes)
        {
            var name = Namespace(node);
            var outer = $"v{number}";
            await IpAsync($"netns add {name}", $"-n {Hub} link add {outer} type veth peer name eth0 netns {name}", $"-n {Hub} link set {outer} master bridge0 up", name);
            _addresses[node] = Subnet + number;
            await IpAsync($"-n {name} address add {Subnet}{number}/24 dev eth0", $"-n {name} link set eth0 up", $"-n {name} link set lo up", name);
            // Packets of a slow link come in by another device than they would leave by.
            await RunAsync(node, ["/bin/sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter"]);
        }
    }

    private static async Task IpAsync(string first, string second, string third, string name)
    {
        foreach (var command in new[] { first, second, third })
            await CommandAsync("/usr/sbin/ip", string.Format(System.Globalization.CultureInfo.InvariantCulture, command, name).Split(' '), null);
    }

    private static async Task<string> CommandAsync(string program, string[] arguments, string? input)
    {
        var result = await Command.RunAsync(program, arguments, stdin: input is null ? null : System.Text.Encoding.UTF8.GetBytes(input));
        return result.ExitCode == 0 ? result.Text : throw new ChaosSetupException($"{program} {string.Join(' ', arguments)}: {result}");
    }

    private static async Task TryAsync(string program, params string[] arguments) => await Command.RunAsync(program, arguments);

    // Namespaces of runs whose process is gone, with everything that still runs in them.
    private static async Task RemoveLeftoversAsync()
    {
        if (!Directory.Exists("/run/netns"))
            return;
        foreach (var name in Directory.GetFiles("/run/netns", Prefix + "*").Select(f => Path.GetFileName(f)!))
        {
            var owner = name[Prefix.Length..].Split('-')[0];
            if (IsRunning(owner))
                continue;
            var inside = await Command.RunAsync("/usr/sbin/ip", ["netns", "pids", name]);
            foreach (var pid in inside.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
                _ = Kill(int.Parse(pid, System.Globalization.CultureInfo.InvariantCulture), 9);
            await TryAsync("/usr/sbin/ip", "netns", "delete", name);
        }

        // Their small disks.
        foreach (var mount in (await File.ReadAllLinesAsync("/proc/mounts")).Select(l => l.Split(' ')[1]).Where(m => m.StartsWith($"/tmp/{Prefix}", StringComparison.Ordinal)))
        {
            if (!IsRunning(mount[$"/tmp/{Prefix}".Length..].Split('-', '/')[0]))
                await TryAsync("/usr/bin/umount", "-l", mount);
        }
    }

    private static bool IsRunning(string pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Contains("Relay.Chaos", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int SetNamespace(int descriptor, int type);

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int pid, int signal);
}

/// <summary>The run cannot begin on this machine; the message is one sentence for whoever started it.</summary>
internal sealed class ChaosSetupException(string message) : Exception(message);

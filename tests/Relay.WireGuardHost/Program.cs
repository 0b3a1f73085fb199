using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Resolver;
using Relay.Protocol.Hosting;
using Relay.Protocol.WireGuard;
using Relay.WireGuardHost;

// Relay.WireGuardHost <listen> <key file> [mtu=N] [queues=N] [plain] [idle=milliseconds] [flows=N] [dns=port of a resolver on the loopback]
// Relay.WireGuardHost client <gateway> <its public key> <file of the private key> <interface>
if (args[0] == "client")
{
    ClientEnd.Run(args[1..]);
    return;
}

var options = new WireGuardOptions { Listen = IPEndPoint.Parse(args[0]) };
// A file, so that a gateway that is started again has the key its devices know.
if (!File.Exists(args[1])) File.WriteAllText(args[1], Convert.ToBase64String(WireGuardPrivateKey.Generate()));
var key = Convert.FromBase64String(File.ReadAllText(args[1]));
foreach (var argument in args[2..])
{
    var (name, value) = argument.Split('=') is [var n, var v] ? (n, int.Parse(v, null)) : (argument, 0);
    options = name switch
    {
        "mtu" => options with { Mtu = value },
        "queues" => options with { Queues = value },
        "plain" => options with { Offload = false },
        "idle" => options with { UdpIdle = TimeSpan.FromMilliseconds(value) },
        "dns" => options with { DnsForward = [new IPEndPoint(IPAddress.Loopback, value)] },
        "flows" => options with { MaxFlowsPerDevice = value },
        _ => throw new ArgumentException($"{argument} is unknown."),
    };
}

var given = new GivenByStdin();
var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
builder.Logging.AddJsonLines();
var host = builder.Build();
// The console reads on the calling thread.
_ = Task.Run(() => given.ReadAsync(Console.In));
var names = new ResolverOptions { Suffix = "relay", Forward = options.DnsForward, Ranges = [.. options.Resources, .. options.Devices] };
var flows = new ResolverFlows(given, options.Own, new TunnelResolver(names, given, TimeProvider.System));
await using var tunnel = await WireGuardTunnel.TryStartAsync(options, key, given, flows, TimeProvider.System, host.Services.GetRequiredService<ILogger<WireGuardTunnel>>());
await host.RunAsync();

using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Relay.Gateway.Hosting;
using Relay.Protocol.Hosting;

if (args.Any(a => a is "--help" or "-h"))
{
    Console.WriteLine(GatewayOptionsReader.Usage);
    return 0;
}

if (!GatewayOptionsReader.TryRead(args, Environment.GetEnvironmentVariable, Environment.MachineName, out var options, out var errors) || RelayVariables.Problems() is { Count: > 0 })
{
    foreach (var error in errors.Concat(RelayVariables.Problems()))
    {
        Console.Error.WriteLine($"Error: {error}");
    }

    return 2;
}

var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
builder.Logging.AddJsonLines();
builder.Services.AddSingleton(TimeProvider.System);
builder.Services.AddSingleton(options);
builder.Services.AddHostedService<GatewayService>();
builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.DrainTime + TimeSpan.FromSeconds(45));
await builder.Build().RunAsync();
return Environment.ExitCode;

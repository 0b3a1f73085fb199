using Relay.Protocol.Hosting;
using Relay.Silo.Authorities;
using Relay.Silo.Hosting;
using Relay.Silo.Storage;

if (SiloOptionsReader.IsHelp(args))
{
    Console.Write(SiloOptionsReader.Help());
    return 0;
}

var options = SiloOptionsReader.Read(args, Environment.GetEnvironmentVariable, out var errors);
if (options is null || RelayVariables.Problems() is { Count: > 0 })
{
    foreach (var error in errors.Concat(RelayVariables.Problems()))
        await Console.Error.WriteLineAsync($"Error: {error}");
    return 2;
}

try
{
    await using var silo = await SiloHost.StartAsync(options, TimeProvider.System, configure: null, CancellationToken.None);
    using var impatience = new SecondSignal(silo.EndNow);

    // Where a file was asked for, the password is there and not in what may be a log.
    if (silo.FirstPassword is { } password && options.BootstrapFile is null)
        Console.WriteLine($"First start. Administrator: {GridBootstrap.AdministratorEmail}  password: {password}  (shown only this once)");
    await silo.WaitForShutdownAsync(CancellationToken.None);
    return 0;
}
catch (OperationCanceledException)
{
    // Told to end while it waited for the database.
    return 0;
}
catch (Exception e) when (e is StorageException or IOException)
{
    await Console.Error.WriteLineAsync($"Error: {e.Message}");
    return 1;
}

using System.Reflection;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Relay.Silo.Hosting;

/// <summary>L37: known holes of the HTTP server that a later runtime closes.</summary>
internal static class RuntimeVersion
{
    /// <summary>The first version without CVE-2026-70188 and CVE-2026-88092.</summary>
    public static readonly Version Safe = new(10, 0, 13);

    /// <summary>The ASP.NET Core that runs; 0.0 when it does not say.</summary>
    public static Version AspNetCore()
    {
        var text = typeof(KestrelServer).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
        var end = text.AsSpan().IndexOfAny('+', '-');
        return Version.TryParse(end < 0 ? text : text[..end], out var version) ? version : new Version(0, 0);
    }
}

using System.Security.Cryptography;
using Microsoft.AspNetCore.Identity;

namespace Relay.Silo.Identity;

/// <summary>
/// Password hashes by ASP.NET Core Identity (PBKDF2-HMAC-SHA512, salted). Safe for concurrent use.
/// At most one computation per core runs at a time, so that a flood of logins cannot take the machine from the sessions on it.
/// </summary>
internal sealed class Passwords : IDisposable
{
    private static readonly object Nobody = new();
    private readonly PasswordHasher<object> _hasher = new();
    private readonly SemaphoreSlim _gate = new(Math.Max(1, Environment.ProcessorCount - 1));
    private readonly string _unknown;

    public Passwords() => _unknown = _hasher.HashPassword(Nobody, Generate());

    /// <summary>A random password of 24 characters, 120 bits.</summary>
    public static string Generate() => RandomNumberGenerator.GetString("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", 24);

    public async Task<string> HashAsync(string password, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            return await Task.Run(() => _hasher.HashPassword(Nobody, password), CancellationToken.None);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Compares; without a hash (no such user, no local password) it takes as long and says no.</summary>
    public async Task<bool> VerifyAsync(string? hash, string password, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            var result = await Task.Run(() => _hasher.VerifyHashedPassword(Nobody, hash ?? _unknown, password), CancellationToken.None);
            return hash is not null && result != PasswordVerificationResult.Failed;
        }
        finally
        {
            _gate.Release();
        }
    }

    public void Dispose() => _gate.Dispose();
}

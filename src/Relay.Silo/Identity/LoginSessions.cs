using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Authorities;
using Relay.Silo.Storage;

namespace Relay.Silo.Identity;

/// <summary>Logins of the API: a signed token whose id is a row, so that it can be ended. Safe for concurrent use.</summary>
internal sealed class LoginSessions(NpgsqlDataSource database, IAuthorities authorities, LoginThrottle throttle, Passwords passwords, TimeProvider time)
{
    /// <summary>A working day and a bit: nobody logs in twice a day.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(12);

    private const string WrongLogin = "e-mail or password is wrong";
    private const string BadToken = "invalid token, please login";

    /// <summary>Tries a password.</summary>
    /// <exception cref="ApiException">401 for every reason but one: 429 when there were too many attempts, whether or not the account exists.</exception>
    public async Task<LoginResponse> LoginAsync(string organization, string email, string password, string address, string requestId, CancellationToken cancellationToken)
    {
        var account = LoginThrottle.Account(organization, email);
        using var turn = await throttle.TakeTurnAsync(account, cancellationToken);
        if (await throttle.EnterAsync(account, address, cancellationToken) is { } seconds)
            throw new ApiException(429, ErrorCodes.TooManyRequests, $"too many failed logins: try again in {seconds} s") { RetryAfterSeconds = seconds };

        var found = await FindAsync(organization, email, cancellationToken);
        // The same work whether or not the user exists, so that the time tells nothing.
        var right = await passwords.VerifyAsync(found?.PasswordHash, password, cancellationToken);
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        if (!right || found is null || found.UserId == Guid.Empty)
        {
            if (found is not null)
            {
                // What was typed is anybody's text, and may be a password in the wrong field: only a known address is kept whole.
                var known = found.UserId != Guid.Empty;
                var actor = new Actor(found.OrganizationId, known ? found.UserId : null, known ? found.Email : ApiException.Printable(email), address, requestId);
                await AuditTrail.AppendAsync(connection, null, actor, "login.failure", "user", actor.Email, "failure", null, cancellationToken);
            }
            throw ApiException.BadToken(WrongLogin);
        }

        await throttle.SucceededAsync(account, address, cancellationToken);
        return await CreateAsync(connection, found, address, requestId, cancellationToken);
    }

    /// <summary>Who holds this token.</summary>
    /// <param name="token">Null: none was sent.</param>
    /// <exception cref="ApiException">401.</exception>
    public async Task<Caller> FindCallerAsync(string? token, CancellationToken cancellationToken)
    {
        if (token is null)
            throw ApiException.BadToken("please login first (no token found)");
        if (!authorities.TryVerifyToken(token, TokenTypes.User, out var verified))
            throw ApiException.BadToken(BadToken);
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var row = await connection.QuerySingleOrDefaultAsync<CallerRow>(new CommandDefinition("""
            SELECT o.organization_id, o.name AS organization_name, u.user_id, u.email, u.display_name, u.role, l.login_session_id, l.expires_at AS login_expires_at
            FROM login_session l JOIN app_user u USING (user_id) JOIN organization o USING (organization_id)
            WHERE l.login_session_id = @id AND l.revoked_at IS NULL AND l.expires_at > now()
            """, new { id = verified.Id }, cancellationToken: cancellationToken));
        return row is null
            ? throw ApiException.BadToken(BadToken)
            : new Caller(row.OrganizationId, row.OrganizationName, row.UserId, row.Email, row.DisplayName, row.Role, row.LoginSessionId, row.LoginExpiresAt);
    }

    /// <summary>Ends the caller's login.</summary>
    public async Task LogoutAsync(Caller caller, Actor actor, CancellationToken cancellationToken)
    {
        await using var write = await OrganizationWrite.BeginAsync(database, actor, cancellationToken);
        await write.ExecuteAsync("UPDATE login_session SET revoked_at = now() WHERE login_session_id = @LoginSessionId AND revoked_at IS NULL", new { caller.LoginSessionId });
        await write.AuditAsync("logout", "user", caller.UserId.ToString("D"));
        await write.CommitAsync(bump: false);
    }

    public static Me Describe(Caller caller) => new()
    {
        UserId = caller.UserId,
        Email = caller.Email,
        DisplayName = caller.DisplayName,
        Role = caller.Role,
        IdentityType = "user",
        Organization = new NamedRef(caller.OrganizationId, caller.OrganizationName),
        LoginExpiresAt = caller.LoginExpiresAt,
    };

    private async Task<LoginRow?> FindAsync(string organization, string email, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.QuerySingleOrDefaultAsync<LoginRow>(new CommandDefinition("""
            SELECT o.organization_id, o.name AS organization_name, u.user_id, u.email, u.display_name, u.role, u.password_hash
            FROM organization o LEFT JOIN app_user u ON u.organization_id = o.organization_id AND lower(u.email) = lower(@email)
            WHERE lower(o.name) = lower(@organization)
            """, new { organization, email }, cancellationToken: cancellationToken));
    }

    private async Task<LoginResponse> CreateAsync(NpgsqlConnection connection, LoginRow user, string address, string requestId, CancellationToken cancellationToken)
    {
        var id = Guid.NewGuid();
        var now = time.GetUtcNow();
        // JWT dates are whole seconds; the row says the same.
        var expires = DateTimeOffset.FromUnixTimeSeconds((now + Lifetime).ToUnixTimeSeconds());
        await using var transaction = await connection.BeginBoundedAsync(BoundedTransaction.Patience, cancellationToken);
        await connection.ExecuteAsync(new CommandDefinition("""
            DELETE FROM login_session WHERE user_id = @UserId AND expires_at < now() - interval '30 days';
            INSERT INTO login_session (login_session_id, user_id, expires_at, client_ip) VALUES (@id, @UserId, @expires, @address);
            """, new { id, user.UserId, expires, address }, transaction, cancellationToken: cancellationToken));
        var actor = new Actor(user.OrganizationId, user.UserId, user.Email, address, requestId);
        await AuditTrail.AppendAsync(connection, transaction, actor, "login.success", "user", user.UserId.ToString("D"), "success", null, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        var caller = new Caller(user.OrganizationId, user.OrganizationName, user.UserId, user.Email, user.DisplayName, user.Role, id, expires);
        return new LoginResponse { Token = authorities.MintUserToken(user.OrganizationId, user.UserId, id, expires), ExpiresAt = expires, Me = Describe(caller) };
    }

    // The user's columns are null when the organization exists and the user does not; Dapper then leaves the defaults.
    private sealed class LoginRow
    {
        public Guid OrganizationId { get; init; }

        public string OrganizationName { get; init; } = "";

        public Guid UserId { get; init; }

        public string Email { get; init; } = "";

        public string DisplayName { get; init; } = "";

        public string Role { get; init; } = "";

        public string? PasswordHash { get; init; }
    }

    private sealed class CallerRow
    {
        public Guid OrganizationId { get; init; }

        public string OrganizationName { get; init; } = "";

        public Guid UserId { get; init; }

        public string Email { get; init; } = "";

        public string DisplayName { get; init; } = "";

        public string Role { get; init; } = "";

        public Guid LoginSessionId { get; init; }

        public DateTimeOffset LoginExpiresAt { get; init; }
    }
}
